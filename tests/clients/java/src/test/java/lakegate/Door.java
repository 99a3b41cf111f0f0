package lakegate;

import java.io.IOException;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The way into the gateway under test: its address and its users, from the environment that tests/clients/run sets. */
final class Door {
    private static final Pattern ENTRY =
            Pattern.compile("\"user\"\\s*:\\s*\"([^\"]+)\"\\s*,\\s*\"password\"\\s*:\\s*\"([^\"]+)\"");

    private Door() {}

    /** {@code HOST:PORT} of Flight SQL. */
    static String authority() {
        String flight = System.getenv("LAKEGATE_FLIGHT");
        if (flight == null) {
            throw new IllegalStateException("LAKEGATE_FLIGHT is not set; start the suite with tests/clients/run");
        }
        return flight.replaceFirst("^grpc://", "");
    }

    static String password(String user) {
        try {
            String text = Files.readString(Path.of(System.getenv("LAKEGATE_DIR"), "credentials.json"));
            Matcher entries = ENTRY.matcher(text);
            while (entries.find()) {
                if (entries.group(1).equals(user)) {
                    return entries.group(2);
                }
            }
            throw new IllegalStateException("no user " + user);
        } catch (IOException error) {
            throw new IllegalStateException(error);
        }
    }

    /** A URL without credentials; {@code properties} begin with {@code &}. */
    static String url(String properties) {
        return "jdbc:arrow-flight-sql://" + authority() + "/?useEncryption=false" + properties;
    }

    static String login(String user, String password) {
        return "&user=" + user + "&password=" + URLEncoder.encode(password, StandardCharsets.UTF_8);
    }

    static Connection connect(String user) throws SQLException {
        return DriverManager.getConnection(url(login(user, password(user))));
    }

    static Connection connect(String user, String properties) throws SQLException {
        return DriverManager.getConnection(url(login(user, password(user)) + properties));
    }

    /** All rows of a query as text, null as {@code null}. */
    static List<List<String>> rows(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery(sql)) {
            return rows(rows);
        }
    }

    static List<List<String>> rows(ResultSet rows) throws SQLException {
        int columns = rows.getMetaData().getColumnCount();
        List<List<String>> all = new ArrayList<>();
        while (rows.next()) {
            List<String> row = new ArrayList<>();
            for (int column = 1; column <= columns; column++) {
                row.add(rows.getString(column));
            }
            all.add(row);
        }
        return all;
    }

    /** One column of a result by its label. */
    static List<String> column(ResultSet rows, String label) throws SQLException {
        List<String> values = new ArrayList<>();
        while (rows.next()) {
            values.add(rows.getString(label));
        }
        return values;
    }
}

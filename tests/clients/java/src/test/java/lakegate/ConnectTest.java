package lakegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;

/** Ways in, and ways to be refused. */
class ConnectTest {
    private static final List<List<String>> ONE = List.of(List.of("1"));

    @Test
    void aUrlWithUserAndPasswordOpensTheDoor() throws SQLException {
        try (Connection connection = Door.connect("admin")) {
            assertTrue(connection.isValid(10));
            assertEquals(ONE, Door.rows(connection, "SELECT 1"));
        }
    }

    @Test
    void propertiesOpenTheDoor() throws SQLException {
        Properties properties = new Properties();
        properties.put("user", "viewer");
        properties.put("password", Door.password("viewer"));
        properties.put("useEncryption", "false");
        String url = "jdbc:arrow-flight-sql://" + Door.authority();
        try (Connection connection = DriverManager.getConnection(url, properties)) {
            assertEquals(ONE, Door.rows(connection, "SELECT 1"));
        }
    }

    @Test
    void aTokenOpensTheDoor() throws SQLException {
        String token = System.getenv("LAKEGATE_TOKEN");
        try (Connection connection = DriverManager.getConnection(Door.url("&token=" + token))) {
            assertEquals(List.of(List.of("5")), Door.rows(connection, "SELECT count(*) FROM lake.gold.region"));
        }
    }

    @Test
    void aWrongPasswordIsRefusedInWordsThatDoNotRepeatIt() {
        SQLException wrong = refused(Door.login("admin", "open-sesame"));
        SQLException unknown = refused(Door.login("nobody", "open-sesame"));
        assertFalse(words(wrong).contains("open-sesame"));
        assertTrue(words(wrong).toLowerCase().contains("password") || words(wrong).contains("LG2001"), words(wrong));
        assertEquals(words(wrong), words(unknown), "an answer must not tell which users exist");
    }

    @Test
    void noCredentialsAndAMadeUpTokenAreRefused() {
        refused("");
        refused("&token=nonsense");
    }

    private static SQLException refused(String properties) {
        return assertThrows(SQLException.class, () -> {
            try (Connection connection = DriverManager.getConnection(Door.url(properties))) {
                Door.rows(connection, "SELECT 1");
            }
        });
    }

    private static String words(Throwable error) {
        StringBuilder words = new StringBuilder();
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            words.append(cause.getMessage()).append('\n');
        }
        return words.toString();
    }

    @Test
    void twoConnectionsAtOnceKeepTheirOwnUsersAndRows() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(2);
        try (Connection admin = Door.connect("admin"); Connection viewer = Door.connect("viewer")) {
            Callable<List<List<String>>> orders =
                    () -> Door.rows(admin, "SELECT o_orderkey FROM lake.gold.orders WHERE o_orderkey < 1000");
            Callable<List<List<String>>> schemas = () -> Door.rows(viewer, "SHOW SCHEMAS");
            Future<List<List<String>>> first = threads.submit(orders);
            Future<List<List<String>>> second = threads.submit(schemas);
            assertFalse(first.get().isEmpty());
            assertFalse(second.get().toString().contains("bronze"));
            assertTrue(Door.rows(admin, "SHOW SCHEMAS").toString().contains("bronze"));
        } finally {
            threads.shutdownNow();
        }
    }

    @Test
    void aCatalogOfTheUrlIsTheCurrentOne() throws SQLException {
        Connection connection = Door.connect("admin", "&catalog=lake");
        assertEquals(List.of(List.of("25")), Door.rows(connection, "SELECT count(*) FROM gold.nation"));
        try {
            connection.close();
        } catch (SQLException error) {
            // Driver 18.3 closes its channel and then its session when a catalog stands in the URL, whatever the server.
            assertEquals("Channel shutdown invoked", error.getMessage());
        }
    }

    @Test
    void theCatalogCanBeSet() throws SQLException {
        try (Connection connection = Door.connect("admin")) {
            connection.setCatalog("lake");
            assertEquals("lake", connection.getCatalog());
            assertEquals(List.of(List.of("25")), Door.rows(connection, "SELECT count(*) FROM nation"));
        }
    }

    @Test
    void aCatalogThatIsNotThereIsRefused() {
        SQLException error = assertThrows(SQLException.class, () -> {
            // Connection.setCatalog of driver 18.3 never leaves the driver; the URL does.
            try (Connection connection = Door.connect("admin", "&catalog=pond")) {
                Door.rows(connection, "SELECT count(*) FROM gold.nation");
            }
        });
        assertTrue(words(error).contains("pond") || words(error).toLowerCase().contains("catalog"), words(error));
    }

    @Test
    void aConnectionIsClosedTwice() throws SQLException {
        Connection connection = Door.connect("admin");
        connection.close();
        connection.close();
        assertTrue(connection.isClosed());
    }
}

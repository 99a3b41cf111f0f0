package lakegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Date;
import java.sql.ParameterMetaData;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Time;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.LocalTime;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Prepared statements and their parameters. */
class PreparedTest {
    private Connection connection;

    @BeforeEach
    void connect() throws SQLException {
        connection = Door.connect("admin");
    }

    @AfterEach
    void close() throws SQLException {
        connection.close();
    }

    private List<List<String>> rows(PreparedStatement statement) throws SQLException {
        try (ResultSet rows = statement.executeQuery()) {
            return Door.rows(rows);
        }
    }

    @Test
    void aStatementIsPreparedOnceAndRunOften() throws SQLException {
        String sql = "SELECT n_name FROM lake.gold.nation WHERE n_nationkey = ?";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            String[] names = {"ALGERIA", "ARGENTINA", "BRAZIL"};
            for (int key = 0; key < 3; key++) {
                statement.setLong(1, key);
                assertEquals(List.of(List.of(names[key])), rows(statement));
            }
        }
    }

    @Test
    void everySetterIsUnderstood() throws SQLException {
        String sql = "SELECT count(*) FROM lake.gold.lineitem WHERE l_orderkey <= ? AND l_linenumber = ? AND l_quantity > ?"
                + " AND l_shipdate >= ? AND l_returnflag <> ? AND l_linenumber < ?";
        String literal = "SELECT count(*) FROM lake.gold.lineitem WHERE l_orderkey <= 10000 AND l_linenumber = 2"
                + " AND l_quantity > 10.50 AND l_shipdate >= DATE '1994-01-01' AND l_returnflag <> 'R' AND l_linenumber < 5.5";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            statement.setLong(1, 10000L);
            statement.setInt(2, 2);
            statement.setBigDecimal(3, new BigDecimal("10.50"));
            statement.setDate(4, Date.valueOf("1994-01-01"));
            statement.setString(5, "R");
            statement.setDouble(6, 5.5);
            List<List<String>> found = rows(statement);
            assertEquals(Door.rows(connection, literal), found);
            assertTrue(Long.parseLong(found.get(0).get(0)) > 0);
        }
    }

    @Test
    void aNullFindsNothingAndIsReturnedAsNull() throws SQLException {
        try (PreparedStatement statement =
                connection.prepareStatement("SELECT count(*) FROM lake.gold.nation WHERE n_nationkey = ?")) {
            statement.setNull(1, Types.BIGINT);
            assertEquals(List.of(List.of("0")), rows(statement));
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT CAST(? AS VARCHAR) IS NULL AS n")) {
            statement.setNull(1, Types.VARCHAR);
            try (ResultSet rows = statement.executeQuery()) {
                assertTrue(rows.next() && rows.getBoolean(1));
            }
        }
    }

    @Test
    void valuesComeBackAsTheyWent() throws SQLException {
        String sql = "SELECT CAST(? AS BIGINT), CAST(? AS VARCHAR), CAST(? AS DECIMAL(20, 4)), CAST(? AS DATE),"
                + " CAST(? AS TIMESTAMP), CAST(? AS BOOLEAN), CAST(? AS DOUBLE), CAST(? AS TIME)";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            statement.setLong(1, Long.MIN_VALUE);
            statement.setString(2, "it's \"ünïcode\" ☃");
            statement.setBigDecimal(3, new BigDecimal("-1234567.8901"));
            statement.setDate(4, Date.valueOf("2000-02-29"));
            statement.setTimestamp(5, Timestamp.valueOf("2024-02-29 12:30:15.123"));
            statement.setBoolean(6, true);
            statement.setDouble(7, 0.1);
            statement.setTime(8, Time.valueOf("12:30:15"));
            try (ResultSet row = statement.executeQuery()) {
                assertTrue(row.next());
                assertEquals(Long.MIN_VALUE, row.getLong(1));
                assertEquals("it's \"ünïcode\" ☃", row.getString(2));
                assertEquals(new BigDecimal("-1234567.8901"), row.getBigDecimal(3));
                assertEquals(Date.valueOf("2000-02-29"), row.getDate(4));
                assertEquals(Timestamp.valueOf("2024-02-29 12:30:15.123"), row.getTimestamp(5));
                assertTrue(row.getBoolean(6));
                assertEquals(0.1, row.getDouble(7));
                assertEquals(LocalTime.of(12, 30, 15), row.getTime(8).toLocalTime());
            }
        }
    }

    @Test
    void aParameterIsAValueAndNeverSql() throws SQLException {
        try (PreparedStatement statement =
                connection.prepareStatement("SELECT count(*) FROM lake.gold.nation WHERE n_name = ?")) {
            statement.setString(1, "x' OR '1'='1");
            assertEquals(List.of(List.of("0")), rows(statement));
        }
    }

    @Test
    void aPreparedStatementDescribesItsColumnsAndParameters() throws SQLException {
        String sql = "SELECT n_name, n_nationkey FROM lake.gold.nation WHERE n_nationkey = ? AND n_name = ?";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            ResultSetMetaData columns = statement.getMetaData();
            assertEquals(2, columns.getColumnCount());
            assertEquals("n_name", columns.getColumnLabel(1));
            assertEquals(Types.BIGINT, columns.getColumnType(2));
            ParameterMetaData parameters = statement.getParameterMetaData();
            assertEquals(2, parameters.getParameterCount());
            assertEquals(Types.BIGINT, parameters.getParameterType(1));
            assertEquals(Types.VARCHAR, parameters.getParameterType(2));
        }
    }

    @Test
    void aBatchThatWritesIsRefusedByName() throws SQLException {
        SQLException refused = assertThrows(SQLException.class, () -> {
            try (PreparedStatement statement =
                    connection.prepareStatement("INSERT INTO lake.gold.region VALUES (?, ?, ?)")) {
                for (int key = 10; key < 12; key++) {
                    statement.setInt(1, key);
                    statement.setString(2, "name");
                    statement.setString(3, "comment");
                    statement.addBatch();
                }
                statement.executeBatch();
            }
        });
        assertTrue(refused.getMessage().contains("INSERT"), refused.getMessage());
        assertEquals(List.of(List.of("5")), Door.rows(connection, "SELECT count(*) FROM lake.gold.region"));
    }

    @Test
    void twoPreparedStatementsDoNotShareTheirParameters() throws SQLException {
        String sql = "SELECT n_name FROM lake.gold.nation WHERE n_nationkey = ?";
        try (PreparedStatement one = connection.prepareStatement(sql);
                PreparedStatement two = connection.prepareStatement(sql)) {
            one.setLong(1, 6);
            two.setLong(1, 7);
            assertEquals(List.of(List.of("FRANCE")), rows(one));
            assertEquals(List.of(List.of("GERMANY")), rows(two));
            assertEquals(List.of(List.of("FRANCE")), rows(one));
        }
    }
}

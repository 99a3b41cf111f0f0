package lakegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Date;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Time;
import java.sql.Timestamp;
import java.sql.Types;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Statements, their rows, and what a result says about itself. */
class StatementTest {
    private Connection connection;

    @BeforeEach
    void connect() throws SQLException {
        connection = Door.connect("admin");
    }

    @AfterEach
    void close() throws SQLException {
        connection.close();
    }

    @Test
    void rowsComeInOrder() throws SQLException {
        assertEquals(
                List.of(List.of("0", "AFRICA"), List.of("1", "AMERICA"), List.of("2", "ASIA"), List.of("3", "EUROPE"),
                        List.of("4", "MIDDLE EAST")),
                Door.rows(connection, "SELECT r_regionkey, r_name FROM lake.gold.region ORDER BY r_regionkey"));
    }

    @Test
    void everyTypeHasItsGetter() throws SQLException {
        String sql = "SELECT true AS b, CAST(7 AS TINYINT) AS i8, CAST(300 AS SMALLINT) AS i16, CAST(70000 AS INT) AS i32,"
                + " 5000000000 AS i64, CAST(1.5 AS REAL) AS f32, CAST(0.1 AS DOUBLE) AS f64,"
                + " CAST('123.45' AS DECIMAL(10, 2)) AS dec, 'ünï' AS txt, X'00ff' AS bin, DATE '1996-02-29' AS d,"
                + " TIMESTAMP '2024-02-29 12:30:15.123' AS ts, CAST('12:30:15' AS TIME) AS t, CAST(NULL AS INT) AS nothing,"
                + " CAST('NaN' AS DOUBLE) AS nan, CAST('Infinity' AS DOUBLE) AS inf";
        try (Statement statement = connection.createStatement(); ResultSet row = statement.executeQuery(sql)) {
            assertTrue(row.next());
            assertTrue(row.getBoolean("b"));
            assertEquals(7, row.getByte("i8"));
            assertEquals(300, row.getShort("i16"));
            assertEquals(70000, row.getInt("i32"));
            assertEquals(5_000_000_000L, row.getLong("i64"));
            assertEquals(1.5f, row.getFloat("f32"));
            assertEquals(0.1, row.getDouble("f64"));
            assertEquals(new BigDecimal("123.45"), row.getBigDecimal("dec"));
            assertEquals("ünï", row.getString("txt"));
            assertEquals(List.of((byte) 0, (byte) -1), List.of(row.getBytes("bin")[0], row.getBytes("bin")[1]));
            assertEquals(Date.valueOf("1996-02-29"), row.getDate("d"));
            assertEquals(Timestamp.valueOf("2024-02-29 12:30:15.123"), row.getTimestamp("ts"));
            assertEquals(Time.valueOf("12:30:15").toLocalTime(), row.getTime("t").toLocalTime());
            assertEquals(0, row.getInt("nothing"));
            assertTrue(row.wasNull());
            assertNull(row.getObject("nothing"));
            assertTrue(Double.isNaN(row.getDouble("nan")));
            assertEquals(Double.POSITIVE_INFINITY, row.getDouble("inf"));
            assertFalse(row.next());
        }
    }

    @Test
    void aListIsAnArray() throws SQLException {
        try (Statement statement = connection.createStatement();
                ResultSet row = statement.executeQuery("SELECT [1, 2, 3] AS l, named_struct('a', 1) AS s")) {
            assertTrue(row.next());
            assertEquals("[1, 2, 3]", java.util.Arrays.toString((Object[]) row.getArray("l").getArray()));
            assertTrue(String.valueOf(row.getObject("s")).contains("1"));
        }
    }

    @Test
    void aResultDescribesItsColumns() throws SQLException {
        String sql = "SELECT l_orderkey, l_quantity, l_shipdate, l_comment, l_quantity * 2 AS twice FROM lake.gold.lineitem LIMIT 1";
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            ResultSetMetaData columns = rows.getMetaData();
            assertEquals(5, columns.getColumnCount());
            int[] types = {Types.BIGINT, Types.DECIMAL, Types.DATE, Types.VARCHAR, Types.DECIMAL};
            String[] labels = {"l_orderkey", "l_quantity", "l_shipdate", "l_comment", "twice"};
            for (int column = 1; column <= 5; column++) {
                assertEquals(types[column - 1], columns.getColumnType(column));
                assertEquals(labels[column - 1], columns.getColumnLabel(column));
                assertEquals(labels[column - 1], columns.getColumnName(column));
                assertFalse(columns.getColumnTypeName(column).isEmpty());
            }
            assertEquals(15, columns.getPrecision(2));
            assertEquals(2, columns.getScale(2));
            assertEquals(19, columns.getPrecision(1));
            assertEquals("lake", columns.getCatalogName(1));
            assertEquals("gold", columns.getSchemaName(1));
            assertEquals("lineitem", columns.getTableName(1));
        }
    }

    @Test
    @Timeout(300)
    void aLargeResultIsReadToItsEnd() throws SQLException {
        long expected = Long.parseLong(Door.rows(connection, "SELECT count(*) FROM lake.gold.lineitem").get(0).get(0));
        long sum = Long.parseLong(Door.rows(connection, "SELECT sum(l_linenumber) FROM lake.gold.lineitem").get(0).get(0));
        long count = 0;
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("SELECT l_linenumber, l_comment FROM lake.gold.lineitem")) {
            while (rows.next()) {
                count++;
                sum -= rows.getLong(1);
            }
        }
        assertEquals(expected, count);
        assertEquals(0, sum);
        assertTrue(count > 100_000);
    }

    @Test
    void aStatementIsUsedAgain() throws SQLException {
        try (Statement statement = connection.createStatement()) {
            for (int value = 1; value <= 3; value++) {
                try (ResultSet rows = statement.executeQuery("SELECT " + value)) {
                    assertEquals(List.of(List.of(String.valueOf(value))), Door.rows(rows));
                }
            }
            assertTrue(statement.execute("SELECT 4"));
            assertEquals(List.of(List.of("4")), Door.rows(statement.getResultSet()));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "CREATE TABLE t (a INT)", "DROP TABLE lake.gold.nation", "INSERT INTO lake.gold.region VALUES (9, 'x', 'y')",
        "UPDATE lake.gold.region SET r_name = 'x'", "DELETE FROM lake.gold.region"
    })
    void aStatementThatWritesIsRefusedByName(String sql) throws SQLException {
        String name = sql.split(" ")[0];
        try (Statement statement = connection.createStatement()) {
            SQLException refused = assertThrows(SQLException.class, () -> statement.execute(sql));
            assertTrue(refused.getMessage().contains(name) && refused.getMessage().contains("not supported"),
                    refused.getMessage());
            assertThrows(SQLException.class, () -> statement.executeUpdate(sql));
        }
        assertEquals(List.of(List.of("5")), Door.rows(connection, "SELECT count(*) FROM lake.gold.region"));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "SELECT * FROM lake.gold.lineitm|lineitem", "SELECT n_nam FROM lake.gold.nation|n_name",
        "SELECT (1|line 1", "SELECT 1; SELECT 2|one statement"
    })
    void aMistakeIsNamedAndTheNextStatementWorks(String mistake) throws SQLException {
        String[] parts = mistake.split("\\|");
        SQLException refused = assertThrows(SQLException.class, () -> Door.rows(connection, parts[0]));
        assertTrue(refused.getMessage().contains(parts[1]), refused.getMessage());
        assertEquals(List.of(List.of("1")), Door.rows(connection, "SELECT 1"));
    }

    @Test
    void anErrorAmongTheRowsIsTold() throws SQLException {
        SQLException told = assertThrows(SQLException.class,
                () -> Door.rows(connection, "SELECT 1 / (n_nationkey - 5) FROM lake.gold.nation"));
        StringBuilder words = new StringBuilder();
        for (Throwable cause = told; cause != null; cause = cause.getCause()) {
            words.append(cause.getMessage()).append('\n');
        }
        assertTrue(words.toString().contains("zero"), words.toString());
        assertEquals(List.of(List.of("1")), Door.rows(connection, "SELECT 1"));
    }

    @Test
    @Timeout(60)
    void aRunningQueryIsCancelledFromAnotherThread() throws Exception {
        CountDownLatch reading = new CountDownLatch(1);
        AtomicReference<Throwable> end = new AtomicReference<>();
        Statement statement = connection.createStatement();
        Thread reader = new Thread(() -> {
            try (ResultSet rows = statement.executeQuery(
                    "SELECT a.l_orderkey FROM lake.gold.lineitem a, lake.gold.lineitem b")) {
                while (rows.next()) {
                    reading.countDown();
                }
                end.set(new AssertionError("the rows ended by themselves"));
            } catch (SQLException | RuntimeException stopped) {
                end.set(stopped);
            }
        });
        reader.start();
        assertTrue(reading.await(30, TimeUnit.SECONDS));
        statement.cancel();
        reader.join(30_000);
        assertFalse(reader.isAlive(), "the reader did not stop");
        assertFalse(end.get() instanceof AssertionError, String.valueOf(end.get()));
        assertEquals(List.of(List.of("1")), Door.rows(connection, "SELECT 1"));
    }

    @Test
    @Timeout(60)
    void aResultClosedInItsMiddleFreesTheConnection() throws SQLException {
        for (int round = 0; round < 3; round++) {
            try (Statement statement = connection.createStatement();
                    ResultSet rows = statement.executeQuery(
                            "SELECT a.l_orderkey FROM lake.gold.lineitem a, lake.gold.lineitem b")) {
                assertTrue(rows.next());
            }
        }
        assertEquals(List.of(List.of("1")), Door.rows(connection, "SELECT 1"));
    }

    @Test
    void transactionsAreNotPretended() throws SQLException {
        assertTrue(connection.getAutoCommit());
        assertFalse(connection.getMetaData().supportsTransactions());
    }
}

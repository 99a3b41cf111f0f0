package lakegate;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Method;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Types;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** What tools ask before they show a single row: {@link DatabaseMetaData}, all of it. */
class MetadataTest {
    private static final List<String> TABLES =
            List.of("customer", "events_by_kind", "lineitem", "nation", "orders", "part", "partsupp", "region",
                    "supplier");
    private static final List<String> LISTED =
            List.of("events", "customer", "events_by_kind", "lineitem", "nation", "orders", "part", "partsupp", "region",
                    "supplier", "events", "commits", "lineage", "pipelines", "quality", "rejects");

    private static Connection connection;
    private static DatabaseMetaData metadata;

    @BeforeAll
    static void connect() throws SQLException {
        connection = Door.connect("admin");
        metadata = connection.getMetaData();
    }

    @AfterAll
    static void close() throws SQLException {
        connection.close();
    }

    private static List<String> tables(String catalog, String schema, String table, String... types) throws SQLException {
        try (ResultSet rows = metadata.getTables(catalog, schema, table, types.length == 0 ? null : types)) {
            return Door.column(rows, "TABLE_NAME");
        }
    }

    @Test
    void catalogsAndSchemas() throws SQLException {
        try (ResultSet rows = metadata.getCatalogs()) {
            assertEquals(List.of("lake"), Door.column(rows, "TABLE_CAT"));
        }
        try (ResultSet rows = metadata.getSchemas()) {
            assertTrue(Door.column(rows, "TABLE_SCHEM").containsAll(List.of("bronze", "silver", "gold")));
        }
        try (ResultSet rows = metadata.getSchemas("lake", "g%")) {
            assertEquals(List.of("gold"), Door.column(rows, "TABLE_SCHEM"));
        }
    }

    @Test
    void tablesByPattern() throws SQLException {
        assertEquals(TABLES, tables("lake", "gold", "%"));
        assertEquals(TABLES, tables(null, "gold", null));
        assertEquals(List.of("part", "partsupp"), tables("lake", "gold", "part%"));
        assertEquals(List.of("nation"), tables(null, "gold", "_ation"));
        assertEquals(List.of(), tables("lake", "gold", "nothing"));
        assertEquals(List.of(), tables("lake", "bronze", "lineitem"));
    }

    @Test
    void tablesByType() throws SQLException {
        assertEquals(TABLES, tables("lake", "gold", "%", "TABLE"));
        assertEquals(TABLES, tables("lake", "gold", "%", "TABLE", "VIEW"));
        assertEquals(TABLES, tables("lake", "gold", "%", "BASE TABLE"));
        assertEquals(List.of(), tables("lake", "gold", "%", "VIEW"));
        assertEquals(List.of(), tables("lake", "gold", "%", "SYSTEM TABLE"));
        try (ResultSet rows = metadata.getTableTypes()) {
            List<String> types = Door.column(rows, "TABLE_TYPE");
            assertEquals(List.of("SYSTEM TABLE", "TABLE", "VIEW"), types);
        }
        try (ResultSet rows = metadata.getTables("lake", "gold", "nation", null)) {
            assertTrue(rows.next());
            assertEquals("lake", rows.getString("TABLE_CAT"));
            assertEquals("gold", rows.getString("TABLE_SCHEM"));
            assertEquals("TABLE", rows.getString("TABLE_TYPE"));
        }
    }

    @Test
    void systemTablesWhereTheyAreAskedFor() throws SQLException {
        List<String> system = List.of("catalogs", "columns", "df_settings", "key_column_usage", "schemata",
                "table_constraints", "tables", "views");
        assertEquals(system, tables(null, null, "%", "SYSTEM TABLE"));
        assertEquals(List.of("columns"), tables("lake", "information_schema", "col%", "SYSTEM TABLE", "TABLE"));
        assertEquals(LISTED, tables(null, null, "%"), "a listing of everything shows the lake");
        try (ResultSet rows = metadata.getTables(null, null, "schemata", new String[] {"SYSTEM TABLE"})) {
            assertTrue(rows.next());
            assertEquals("information_schema", rows.getString("TABLE_SCHEM"));
            assertEquals("SYSTEM TABLE", rows.getString("TABLE_TYPE"));
            assertFalse(rows.next());
        }
        try (ResultSet rows = metadata.getColumns("lake", "information_schema", "schemata", "%")) {
            assertEquals(List.of("catalog_name", "schema_name"), Door.column(rows, "COLUMN_NAME"));
        }
    }

    /** Name, JDBC type, size and decimal digits (-1 where they mean nothing) of the columns of lineitem. */
    private static final List<List<Object>> LINEITEM = List.of(
            List.of("l_orderkey", Types.BIGINT, 19, 0), List.of("l_partkey", Types.BIGINT, 19, 0),
            List.of("l_suppkey", Types.BIGINT, 19, 0), List.of("l_linenumber", Types.INTEGER, 10, 0),
            List.of("l_quantity", Types.DECIMAL, 15, 2), List.of("l_extendedprice", Types.DECIMAL, 15, 2),
            List.of("l_discount", Types.DECIMAL, 15, 2), List.of("l_tax", Types.DECIMAL, 15, 2),
            List.of("l_returnflag", Types.VARCHAR, -1, -1), List.of("l_linestatus", Types.VARCHAR, -1, -1),
            List.of("l_shipdate", Types.DATE, -1, -1), List.of("l_commitdate", Types.DATE, -1, -1),
            List.of("l_receiptdate", Types.DATE, -1, -1), List.of("l_shipinstruct", Types.VARCHAR, -1, -1),
            List.of("l_shipmode", Types.VARCHAR, -1, -1), List.of("l_comment", Types.VARCHAR, -1, -1));

    @Test
    void columnsAreDescribedInFull() throws SQLException {
        int position = 0;
        try (ResultSet rows = metadata.getColumns("lake", "gold", "lineitem", "%")) {
            while (rows.next()) {
                List<Object> expected = LINEITEM.get(position++);
                String name = (String) expected.get(0);
                assertEquals(name, rows.getString("COLUMN_NAME"));
                assertEquals(expected.get(1), rows.getInt("DATA_TYPE"), name);
                if ((int) expected.get(2) >= 0) {
                    assertEquals(expected.get(2), rows.getInt("COLUMN_SIZE"), name);
                    assertEquals(expected.get(3), rows.getInt("DECIMAL_DIGITS"), name);
                }
                assertEquals("lake", rows.getString("TABLE_CAT"));
                assertEquals("gold", rows.getString("TABLE_SCHEM"));
                assertEquals("lineitem", rows.getString("TABLE_NAME"));
                assertEquals(position, rows.getInt("ORDINAL_POSITION"), name);
                assertEquals(DatabaseMetaData.columnNoNulls, rows.getInt("NULLABLE"), name + " is required in the lake");
                assertEquals("NO", rows.getString("IS_NULLABLE"), name);
                assertEquals("NO", rows.getString("IS_AUTOINCREMENT"), name);
                assertFalse(rows.getString("TYPE_NAME").isEmpty(), name);
            }
        }
        assertEquals(LINEITEM.size(), position);
    }

    @Test
    void columnsHaveRemarks() throws SQLException {
        try (ResultSet rows = metadata.getColumns("lake", "gold", "lineitem", "l_quantity")) {
            assertTrue(rows.next());
            String remarks = rows.getString("REMARKS");
            assertTrue(remarks != null && !remarks.isBlank(), "the lake has a sentence for each column");
            assertFalse(rows.next());
        }
    }

    @Test
    void columnsByPattern() throws SQLException {
        try (ResultSet rows = metadata.getColumns("lake", "gold", "%", "%_nationkey")) {
            assertEquals(Set.of("c_nationkey", "n_nationkey", "s_nationkey"), Set.copyOf(Door.column(rows, "COLUMN_NAME")));
        }
    }

    @Test
    void keys() throws SQLException {
        Map<String, List<String>> keys = Map.of("nation", List.of("n_nationkey"), "orders", List.of("o_orderkey"),
                "lineitem", List.of("l_linenumber", "l_orderkey"), "partsupp", List.of("ps_partkey", "ps_suppkey"));
        for (Map.Entry<String, List<String>> key : keys.entrySet()) {
            try (ResultSet rows = metadata.getPrimaryKeys("lake", "gold", key.getKey())) {
                assertEquals(key.getValue(), Door.column(rows, "COLUMN_NAME").stream().sorted().toList());
            }
        }
        try (ResultSet rows = metadata.getImportedKeys("lake", "gold", "lineitem")) {
            assertEquals(List.of(), Door.column(rows, "FKCOLUMN_NAME"));
        }
        try (ResultSet rows = metadata.getExportedKeys("lake", "gold", "orders")) {
            assertEquals(List.of(), Door.column(rows, "FKCOLUMN_NAME"));
        }
        try (ResultSet rows = metadata.getCrossReference("lake", "gold", "orders", "lake", "gold", "lineitem")) {
            assertEquals(List.of(), Door.column(rows, "FKCOLUMN_NAME"));
        }
    }

    @Test
    void theGatewayNamesItselfAndWhatItDoes() throws SQLException {
        assertTrue(metadata.getDatabaseProductName().toLowerCase().contains("lakegate"));
        assertFalse(metadata.getDatabaseProductVersion().isEmpty());
        assertEquals("\"", metadata.getIdentifierQuoteString());
        assertTrue(metadata.isReadOnly());
        assertFalse(metadata.supportsTransactions());
        assertTrue(metadata.supportsGroupBy() && metadata.supportsOuterJoins() && metadata.supportsUnionAll());
        assertFalse(metadata.getCatalogTerm().isEmpty() || metadata.getSchemaTerm().isEmpty());
        for (String words : List.of(metadata.getSQLKeywords(), metadata.getNumericFunctions(),
                metadata.getStringFunctions(), metadata.getSystemFunctions(), metadata.getTimeDateFunctions(),
                metadata.getSearchStringEscape(), metadata.getExtraNameCharacters())) {
            assertNotNull(words);
        }
        assertTrue(metadata.getStringFunctions().toLowerCase().contains("substr"));
    }

    /** Every getter without arguments answers: a tool calls them all, and one exception hides the whole lake from it. */
    @TestFactory
    Stream<DynamicTest> everyGetterAnswers() {
        return Arrays.stream(DatabaseMetaData.class.getMethods())
                .filter(method -> method.getParameterCount() == 0)
                .map(method -> DynamicTest.dynamicTest(method.getName(), () -> assertDoesNotThrow(() -> call(method))));
    }

    private static void call(Method method) throws Exception {
        Object answer = method.invoke(metadata);
        if (answer instanceof ResultSet rows) {
            Door.rows(rows);
            rows.close();
        } else if (method.getReturnType() == String.class) {
            assertNotNull(answer, method.getName());
        }
    }

    @Test
    void conversionsAndIsolationAreAnswered() throws SQLException {
        assertFalse(metadata.supportsTransactionIsolationLevel(Connection.TRANSACTION_SERIALIZABLE));
        metadata.supportsConvert();
        metadata.supportsConvert(Types.INTEGER, Types.VARCHAR);
        assertTrue(metadata.supportsResultSetType(ResultSet.TYPE_FORWARD_ONLY));
    }

    @Test
    void aViewerSeesGoldAlone() throws SQLException {
        try (Connection viewer = Door.connect("viewer")) {
            DatabaseMetaData seen = viewer.getMetaData();
            try (ResultSet rows = seen.getSchemas()) {
                List<String> schemas = Door.column(rows, "TABLE_SCHEM");
                assertTrue(schemas.contains("gold"));
                assertFalse(schemas.contains("bronze") || schemas.contains("silver"), schemas.toString());
            }
            try (ResultSet rows = seen.getTables(null, null, "%", null)) {
                assertFalse(Door.column(rows, "TABLE_SCHEM").contains("bronze"));
            }
        }
    }
}

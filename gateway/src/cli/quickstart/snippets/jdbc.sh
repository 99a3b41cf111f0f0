JDBC="${TMPDIR:-/tmp}/lakegate-jdbc-@JDBC@" && mkdir -p "$JDBC"
test -s "$JDBC/driver.jar" || { curl -fsSL -o "$JDBC/driver.part" https://repo1.maven.org/maven2/org/apache/arrow/flight-sql-jdbc-driver/@JDBC@/flight-sql-jdbc-driver-@JDBC@.jar && mv "$JDBC/driver.part" "$JDBC/driver.jar"; }
cat > "$JDBC/Segments.java" <<'JAVA'
import java.sql.DriverManager;

class Segments {
    public static void main(String[] args) throws Exception {
        var url = "jdbc:arrow-flight-sql://@AUTHORITY@/?useEncryption=false&user=@USER@&password=@PASSWORD@";
        var sql = "SELECT c_mktsegment, count(*) AS orders, sum(o_totalprice) AS price FROM lake.gold.orders"
            + " JOIN lake.gold.customer ON c_custkey = o_custkey GROUP BY c_mktsegment ORDER BY price DESC";
        try (var connection = DriverManager.getConnection(url);
             var statement = connection.createStatement();
             var rows = statement.executeQuery(sql)) {
            while (rows.next()) {
                System.out.println(rows.getString(1) + " " + rows.getLong(2) + " " + rows.getBigDecimal(3));
            }
        }
    }
}
JAVA
java --add-opens=java.base/java.nio=ALL-UNNAMED -cp "$JDBC/driver.jar" "$JDBC/Segments.java"

//! The TPC-H queries with some of their tables in another catalog.

/// `sql` with `prefix` before each of `tables` where it is one: in a list after FROM or JOIN, and not where a column or an
/// alias has the same name.
pub fn placed(sql: &str, tables: &[&str], prefix: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut is_list = false;
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        if !is_letter(first) {
            // A subquery has lists of its own, and what follows its end, or that of a call, is none.
            is_list &= first != '(' && first != ')';
            text.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let end = rest.find(|letter| !is_letter(letter)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        match word.to_ascii_lowercase().as_str() {
            "from" | "join" => is_list = true,
            "where" | "group" | "order" | "on" | "select" | "having" => is_list = false,
            lower if is_list && tables.contains(&lower) => text.push_str(prefix),
            _ => {}
        }
        text.push_str(word);
        rest = after;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::placed;

    #[test]
    fn tables_are_placed_and_columns_of_their_names_are_not() {
        let sql = "select nation, extract(year from o_orderdate) as y, n2.n_name as nation \
                   from orders, customer, nation n2 where nation = 'BRAZIL' group by nation";
        let wanted = "select nation, extract(year from o_orderdate) as y, n2.n_name as nation \
                      from orders, pg.customer, pg.nation n2 where nation = 'BRAZIL' group by nation";
        assert_eq!(placed(sql, &["customer", "nation"], "pg."), wanted);
        let outer = "from customer left outer join orders on c_custkey = o_custkey";
        assert!(placed(outer, &["customer"], "pg.").starts_with("from pg.customer left"));
    }
}

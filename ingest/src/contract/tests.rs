use super::*;

fn columns() -> Vec<Column> {
    vec![
        Column::required("id", PrimitiveType::Long, "The key"),
        Column::optional("at", PrimitiveType::Date, "The day"),
        Column::optional("weight", PrimitiveType::Double, ""),
    ]
}

fn contract() -> Contract {
    Contract::new(Zone::Silver, "parcels", "What was sent", columns()).unwrap()
}

#[test]
fn a_contract_becomes_a_table() {
    let contract = contract()
        .with_key(&["id"])
        .unwrap()
        .with_partition("at", Transform::Month)
        .unwrap()
        .with_partition("id", Transform::Bucket(4))
        .unwrap()
        .with_order(&["id", "at"])
        .unwrap();
    let creation = contract.creation().unwrap();
    assert_eq!(creation.schema.identifier_field_ids().collect::<Vec<_>>(), [1]);
    assert_eq!(
        creation.schema.field_by_id(2).unwrap().doc.as_deref(),
        Some("The day")
    );
    assert_eq!(creation.properties["comment"], "What was sent");
    let names: Vec<_> = creation
        .partition_spec
        .unwrap()
        .fields()
        .iter()
        .map(|field| field.name.clone())
        .collect();
    assert_eq!(names, ["at_month", "id_bucket"]);
    assert_eq!(creation.sort_order.unwrap().fields.len(), 2);
    assert_eq!(contract.ident().to_string(), "silver.parcels");
}

#[test]
fn contradictions_are_refused_by_name() {
    let cases = [
        (contract().with_key(&["weight"]), "weight"),
        (contract().with_key(&["at"]), "at"),
        (contract().with_key(&["nothing"]), "nothing"),
        (contract().with_partition("weight", Transform::Month), "weight"),
        (contract().with_order(&["nothing"]), "nothing"),
        (contract().with_lookups(&["nothing"]), "nothing"),
        (Contract::new(Zone::Gold, "t", "", vec![]), "at least one column"),
    ];
    for (result, word) in cases {
        let text = result.unwrap_err().to_string();
        assert!(text.contains(word), "{text}");
    }
    let mut twice = columns();
    twice.push(Column::optional("ID", PrimitiveType::Int, ""));
    assert!(
        Contract::new(Zone::Gold, "t", "", twice)
            .unwrap_err()
            .to_string()
            .contains("ID")
    );
}

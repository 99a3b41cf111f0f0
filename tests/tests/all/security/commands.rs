//! `lakegate policies`: documents before they are in force.

use std::fs;

use tempfile::TempDir;
use tests::house::root;
use tests::{Ended, Launch};

async fn policies(arguments: &[&str]) -> Ended {
    let arguments = ["policies"].iter().chain(arguments).copied();
    Launch::new(arguments).run().await.expect("an end")
}

#[tokio::test]
async fn a_document_is_checked_compared_tested_and_explained() {
    let folder = TempDir::new().expect("a folder");
    let place = |name: &str| {
        let path = folder.path().join(name);
        path.to_str().expect("a UTF-8 path").to_owned()
    };
    let example = root().join("deploy/policies/example.toml");
    let old = example.to_str().expect("a UTF-8 path");
    let text = fs::read_to_string(old).expect("the example");

    let checked = policies(&["check", old]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.stdout.starts_with("ok "), "{checked:?}");
    let broken = place("broken.toml");
    fs::write(&broken, text.replace("c_mktsegment = ", "c_mktsegment = = ")).expect("a file");
    let checked = policies(&["check", &broken]).await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(
        checked.stderr.contains("viewers see customers of one segment"),
        "{checked:?}"
    );

    let new = place("new.toml");
    let wider = text.replace("where = \"c_mktsegment = 'BUILDING'\"", "where = \"TRUE\"");
    fs::write(&new, wider).expect("a file");
    let same = policies(&["diff", old, old]).await;
    assert_eq!((same.code, same.stdout.trim()), (Some(0), ""), "{same:?}");
    let compared = policies(&["diff", old, &new]).await;
    assert_eq!(compared.code, Some(0), "{compared:?}");
    assert!(
        compared.stdout.contains("data_viewer") && compared.stdout.contains("lake.gold.customer"),
        "{compared:?}"
    );

    let tests = place("tests.toml");
    let expected = "[[test]]\nname = \"viewers\"\nroles = [\"data_viewer\"]\ntable = \"lake.gold.customer\"\n\
                    columns = { c_acctbal = \"absent\", c_phone = \"masked\", c_name = \"plain\" }\n";
    fs::write(&tests, expected).expect("a file");
    let tested = policies(&["test", old, &tests]).await;
    assert_eq!(tested.code, Some(0), "{tested:?}");
    fs::write(
        &tests,
        expected.replace("c_name = \"plain\"", "c_name = \"absent\""),
    )
    .expect("a file");
    let tested = policies(&["test", old, &tests]).await;
    assert_eq!(tested.code, Some(1), "{tested:?}");
    assert!(tested.stdout.contains("FAIL viewers"), "{tested:?}");

    let explained = policies(&[
        "explain",
        old,
        "--role",
        "data_viewer",
        "lake.gold.customer",
        "c_phone",
    ])
    .await;
    assert_eq!(explained.code, Some(0), "{explained:?}");
    assert!(
        explained
            .stdout
            .contains("viewers see the end of a telephone number"),
        "{explained:?}"
    );
}

//! The same over Postgres 18, and what only its pgvector has.

use tests::Postgres;

use super::{House, PARTLY, WHOLE, both};

const VECTORS: &str = "CREATE EXTENSION vector;
CREATE TABLE points (id int PRIMARY KEY, place vector(3), small halfvec(2));
INSERT INTO points VALUES (1, '[1,2,3]', '[0.5,-1]'), (2, NULL, NULL), (3, '[-0.25,0,1e10]', '[65504,0]')";

#[tokio::test]
async fn the_newest_server_answers_as_the_older_one() {
    let postgres = Postgres::start_newest().expect("a server");
    let house = House::over(postgres, &[]).await.expect("a lake and a server");
    let mut flight = house.flight().await;
    for sql in WHOLE.iter().chain(&PARTLY) {
        let (there, here) = both(&mut flight, sql).await;
        assert_eq!(there, here, "{sql}");
    }
    house.postgres.run(VECTORS, "").expect("vectors");
    let rows = flight
        .query("SELECT id, place, small FROM pg.public.points ORDER BY id")
        .await
        .expect("rows")
        .rows();
    assert_eq!(
        rows,
        [
            ["1", "[1.0, 2.0, 3.0]", "[0.5, -1.0]"],
            ["2", "NULL", "NULL"],
            ["3", "[-0.25, 0.0, 10000000000.0]", "[65504.0, 0.0]"],
        ]
    );
}

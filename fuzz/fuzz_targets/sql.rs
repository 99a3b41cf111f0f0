//! SQL to plan: any text is refused or described, under policies, and never ends the process.
#![no_main]

use fuzz::House;
use libfuzzer_sys::fuzz_target;
use planner::Query;

fuzz_target!(|text: &str| {
    let house = House::open();
    let described = house
        .runtime
        .block_on(house.app.engine.describe(&house.request(), &Query::new(text)));
    if let Err(error) = described {
        // Every refusal has its place among the answers.
        let answer = gateway::status::Answer::of(&error.into(), "fuzz");
        assert!(!answer.message.contains("panicked"), "{}", answer.message);
    }
});

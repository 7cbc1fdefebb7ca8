#![no_main]

use promql::syntax::{Limits, parse};

// What is read is printed as something that is read as the same.
libfuzzer_sys::fuzz_target!(|text: &str| {
    let limits = Limits { depth_max: 200 };
    if let Ok(expr) = parse(text, &limits) {
        let printed = expr.to_string();
        match parse(&printed, &limits) {
            Ok(again) => assert_eq!(again.to_string(), printed),
            Err(error) => panic!("{printed}: {error}"),
        }
    }
});

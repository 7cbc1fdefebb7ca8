//! Texts to trees and back: every question of Prometheus' own scripts, and what is wrong with others, in its words.
#![allow(clippy::unwrap_used)]

use promql::syntax::{Computed, Expr, Kind, Length, Limits, Matcher, Modifiers, Span, parse, parse_selector};

/// The questions of the scripts, each with whether it is to fail.
fn questions() -> Vec<(String, bool)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");
    let mut questions = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "test") {
            continue;
        }
        let script = std::fs::read_to_string(&path).unwrap();
        let mut lines = script.lines().peekable();
        while let Some(line) = lines.next() {
            let words: Vec<&str> = line.split_whitespace().collect();
            // `eval instant at 5m QUESTION`, `eval range from 0 to 5m step 1m QUESTION`
            let before = match words.as_slice() {
                [eval, "instant", "at", ..] if eval.starts_with("eval") => 4,
                [eval, "range", "from", ..] if eval.starts_with("eval") => 8,
                _ => continue,
            };
            let mut question = line.trim_start();
            for _ in 0..before {
                question = question.split_once(char::is_whitespace).unwrap().1.trim_start();
            }
            let fails = words[0].contains("fail") || lines.peek().is_some_and(|next| next.contains("expect fail"));
            questions.push((question.to_owned(), fails));
        }
    }
    questions
}

/// The same tree, standing nowhere.
fn without_places(mut expr: Expr) -> Expr {
    fn length(of: &mut Length) {
        if let Length::Computed(computed) = of {
            computation(computed);
        }
    }
    fn computation(computed: &mut Computed) {
        computed.span = Span::default();
        computed.of.iter_mut().for_each(computation);
    }
    fn modifiers(of: &mut Modifiers) {
        of.offset.iter_mut().for_each(length);
    }
    fn sorted(matchers: &mut [Matcher]) {
        matchers.sort_by_key(ToString::to_string);
    }
    expr.span = Span::default();
    let strip = |expr: &mut Expr| *expr = without_places(expr.clone());
    match &mut expr.kind {
        Kind::Number { .. } | Kind::Text(_) => {}
        Kind::Vector(selector) => {
            selector.span = Span::default();
            modifiers(&mut selector.modifiers);
            sorted(&mut selector.matchers);
        }
        Kind::Matrix(matrix) => {
            matrix.selector.span = Span::default();
            modifiers(&mut matrix.selector.modifiers);
            sorted(&mut matrix.selector.matchers);
            length(&mut matrix.range);
        }
        Kind::Subquery(subquery) => {
            strip(&mut subquery.of);
            length(&mut subquery.range);
            subquery.step.iter_mut().for_each(length);
            modifiers(&mut subquery.modifiers);
        }
        Kind::Aggregate(aggregate) => {
            strip(&mut aggregate.of);
            aggregate.parameter.iter_mut().for_each(strip);
        }
        Kind::Call(call) => call.arguments.iter_mut().for_each(strip),
        Kind::Paren(of) | Kind::Unary { of, .. } => strip(of),
        Kind::Binary(binary) => {
            strip(&mut binary.left);
            strip(&mut binary.right);
        }
    }
    expr
}

/// What is printed is read as the same tree again. (NaN is no equal of itself, so trees are compared as they are shown.)
fn holds_again(text: &str, expr: Expr) {
    let printed = expr.to_string();
    let again = parse(&printed, &Limits::default()).unwrap_or_else(|error| panic!("{text}\n{printed}\n{error}"));
    assert_eq!(again.to_string(), printed, "{text}");
    let shown = |expr: Expr| format!("{:?}", without_places(expr));
    assert_eq!(shown(again), shown(expr), "{text}\n{printed}");
}

#[test]
fn every_question_of_the_scripts_is_read_and_printed() {
    let questions = questions();
    assert!(questions.len() > 1500, "{}", questions.len());
    for (text, fails) in questions {
        match parse(&text, &Limits::default()) {
            Ok(expr) => holds_again(&text, expr),
            Err(error) => assert!(fails, "{text}\n{error}"),
        }
    }
}

#[test]
fn questions_are_printed_as_prometheus_does() {
    for (text, printed) in [
        ("sum by(job)(up)", "sum by (job) (up)"),
        ("sum(up)by()", "sum(up)"),
        ("sum without ( ) (up)", "sum without () (up)"),
        ("TOPK(3,up)", "topk(3, up)"),
        (r#"{"http.requests","my label"=~'a|b'}"#, r#"{"my label"=~"a|b",__name__="http.requests"}"#),
        (r#"up{job!='x',a="b"}"#, r#"up{a="b",job!="x"}"#),
        ("a[300]offset -1h @ 1.5", "a[5m] @ 1.500 offset -1h"),
        ("rate(a[5m]smoothed)", "rate(a[5m] smoothed)"),
        ("a[2*step()+1m:max_of(10s,step())]", "a[2 * step() + 1m:max_of(10s, step())]"),
        ("a[(5m)]", "a[(5m)]"),
        ("a offset 5m + 3", "a offset 5m + 3"),
        ("a offset (5m + 3)", "a offset (5m + 3)"),
        ("a offset -(5m) * 2", "a offset -(5m) * 2"),
        ("-a^2", "-a ^ 2"),
        ("--1", "1"),
        ("2^3^4", "2 ^ 3 ^ 4"),
        ("a== bool on(x)group_left(y)b", "a == bool on (x) group_left (y) b"),
        ("a+fill_right(1)fill_left(0)b", "a + fill_left (0) fill_right (1) b"),
        ("a+fill(-1)b", "a + fill (-1) b"),
        ("fill+fill_left", "fill + fill_left"),
        ("sum+by", "sum + by"),
        ("a:b:c", "a:b:c"),
        ("0x1F+1_000+1e3+5m+Inf", "31 + 1000 + 1000 + 5m + +Inf"),
        ("start()+range()", "start() + range()"),
        // Printed as "+Inf ^ 4", it was read back as +(Inf ^ 4).
        ("inf^4", "Inf ^ 4"),
        ("-Inf^2^Inf", "-Inf ^ 2 ^ +Inf"),
        ("Inf*2^3", "+Inf * 2 ^ 3"),
        ("'a\\'b'", r#""a'b""#),
        ("a # comment\n+ b", "a + b"),
        ("a</10", "a </ 10"),
        ("info(a,{b='c'})", r#"info(a, {b="c"})"#),
    ] {
        let expr = parse(text, &Limits::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(expr.to_string(), printed, "{text}");
        holds_again(text, expr);
    }
}

#[test]
fn what_is_wrong_is_said_in_the_words_of_prometheus() {
    for (text, error) in [
        ("", "unknown position: parse error: no expression found in input"),
        ("# nothing", "1:1: parse error: no expression found in input"),
        ("1+", "1:3: parse error: unexpected end of input"),
        ("\n up{", "2:5: parse error: unexpected end of input inside braces"),
        ("2.5.", r#"1:1: parse error: bad number or duration syntax: "2.5.""#),
        ("5mm", r#"1:1: parse error: bad number or duration syntax: "5mm""#),
        ("*1", "1:1: parse error: unexpected <op:*>"),
        ("a b", r#"1:3: parse error: unexpected identifier "b""#),
        ("a =~ b", "1:3: parse error: unexpected character after '=': '~'"),
        ("(1))", "1:5: parse error: unexpected right parenthesis ')'"),
        ("((1)", "1:5: parse error: unclosed left parenthesis"),
        ("up[5m", "1:6: parse error: unclosed left bracket"),
        ("1 and 1", r#"1:1: parse error: set operator "and" not allowed in binary scalar expression"#),
        ("1  ==  1", "1:4: parse error: comparisons between scalars must use BOOL modifier"),
        ("a + bool b", "1:3: parse error: bool modifier can only be used on comparison operators"),
        ("a == on(x) 1", "1:1: parse error: vector matching only allowed between instant vectors"),
        ("a + group_left(x) b", "1:5: parse error: unexpected <group_left>"),
        ("a and on(x) group_left(y) b", r#"1:1: parse error: no grouping allowed for "and" operation"#),
        ("a+on(x)group_left(x)b", r#"1:2: parse error: label "x" must not occur in ON and GROUP clause at once"#),
        ("a unless fill(0) b", "1:1: parse error: filling in missing series not allowed for set operators"),
        ("1 + fill(0) b", "1:1: parse error: filling in missing series only allowed between instant vectors"),
        (
            "-up[5m]",
            r#"1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got "range vector""#,
        ),
        (
            "up offset",
            "1:10: parse error: unexpected end of input in offset, expected number, duration, step(), or range()",
        ),
        ("up offset 1m offset 2m", "1:1: parse error: offset may not be set multiple times"),
        (
            "1 offset 1m",
            "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        ("up @", "1:5: parse error: unexpected end of input in @, expected timestamp"),
        ("up @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"),
        ("up @ NaN", "1:1: parse error: timestamp out of bounds for @ modifier: NaN"),
        ("up offset 1m[5m]", "1:13: parse error: no offset modifiers allowed before range"),
        ("up @ 1[5m]", "1:7: parse error: no @ modifiers allowed before range"),
        ("(up)[5m]", "1:5: parse error: ranges only allowed for vector selectors"),
        (
            "up[]",
            r#"1:4: parse error: unexpected "]" in subquery or range selector, expected number, duration, step(), or range()"#,
        ),
        (
            "up[step]",
            r#"1:8: parse error: unexpected "]" in subquery or range selector, expected number, duration, step(), or range()"#,
        ),
        ("up['5m']", "1:4: parse error: unexpected character in duration expression: '\\''"),
        ("up[0m]", "1:4: parse error: duration must be greater than 0"),
        ("up[5m1h]", r#"1:4: parse error: not a valid duration string: "5m1h""#),
        ("up[5s/0d]", "1:6: parse error: division by zero"),
        ("up[9.5e10]", "1:4: parse error: duration out of range"),
        ("up[5m x]", "1:7: parse error: unexpected character: 'x', expected ':'"),
        ("up[5m][5m:]", "1:1: parse error: subquery is only allowed on instant vector, got matrix instead"),
        ("up[5m:] anchored", "1:1: parse error: anchored modifier is not supported for subqueries"),
        ("up{a=b}", r#"1:6: parse error: unexpected identifier "b" in label matching, expected string"#),
        ("up{a}", r#"1:5: parse error: unexpected "}" in label matching, expected label matching operator"#),
        ("up{,}", r#"1:4: parse error: unexpected "," in label matching, expected identifier or "}""#),
        (r#"up{a="b" c}"#, r#"1:10: parse error: unexpected identifier "c" in label matching, expected "," or "}""#),
        (r#"up{a=~"("}"#, "1:4: parse error: error parsing regexp: unclosed group: `(`"),
        (r#"up{__name__="a"}"#, r#"1:1: parse error: metric name must not be set twice: "up" or "a""#),
        ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        (r#"{a!="x"}"#, "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ("sum up by (a)", r#"1:5: parse error: unexpected identifier "up""#),
        ("sum(a b)", r#"1:7: parse error: unexpected identifier "b" in aggregation"#),
        ("sum (a) by b", r#"1:12: parse error: unexpected identifier "b" in grouping opts, expected "(""#),
        ("sum by (==) (a)", "1:9: parse error: unexpected <op:==> in grouping opts, expected label"),
        ("sum()", "1:1: parse error: no arguments for aggregate expression provided"),
        ("topk(a)", "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1"),
        ("topk(a, b)", "1:6: parse error: expected type scalar in aggregation parameter, got instant vector"),
        ("count_values(5, a)", "1:14: parse error: expected type string in aggregation parameter, got scalar"),
        ("abs(a,)", "1:6: parse error: trailing commas not allowed in function call args"),
        ("abs(1)", r#"1:5: parse error: expected type instant vector in call to function "abs", got scalar"#),
        ("abs()", r#"1:1: parse error: expected 1 argument(s) in call to "abs", got 0"#),
        ("hour(a, b)", r#"1:1: parse error: expected at most 1 argument(s) in call to "hour", got 2"#),
        ("label_join(a)", r#"1:1: parse error: expected at least 3 argument(s) in call to "label_join", got 1"#),
        ("sum(nothing(a))", r#"1:5: parse error: unknown function with name "nothing""#),
        ("rate(a)", r#"1:6: parse error: expected type range vector in call to function "rate", got instant vector"#),
        ("info(a, b)", "1:9: parse error: expected label selectors only, got vector selector instead"),
        (r#""\c""#, "1:1: parse error: unknown escape sequence U+0063 'c'"),
        ("'a", "1:1: parse error: unterminated quoted string"),
        ("1e400", r#"1:1: parse error: error parsing number: strconv.ParseFloat: parsing "1e400": value out of range"#),
        ("ä", "1:1: parse error: unexpected character: 'ä'"),
    ] {
        let found = parse(text, &Limits::default()).err().map(|error| error.to_string());
        assert_eq!(found.as_deref(), Some(error), "{text}");
    }
}

/// A question of ten thousand levels ended other servers: each level took a piece of the stack.
#[test]
fn a_question_has_so_many_levels_and_no_more() {
    let deep = |open: &str, close: &str| [open.repeat(100_000), "1".into(), close.repeat(100_000)].concat();
    let chain = vec!["a"; 100_000].join("+");
    let lengths = format!("a[{}5m{}]", "(".repeat(100_000), ")".repeat(100_000));
    let sums = format!("a[{}]", vec!["5m"; 100_000].join("+"));
    let signs = ["-".repeat(100_000), "1".into()].concat();
    for text in [
        lengths,
        sums,
        signs,
        deep("(", ")"),
        deep("-(", ")"),
        deep("abs(", ")"),
        chain,
        format!("a{}", "[5m:]".repeat(100_000)),
    ] {
        let message = parse(&text, &Limits::default()).unwrap_err().message;
        assert_eq!(message, "more than 1000 levels; query.depth_max allows more");
    }
}

#[test]
fn a_selector_alone_may_match_everything() {
    let shown =
        |text: &str| parse_selector(text).map(|matchers| matchers.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(shown("{}"), Ok(vec![]));
    assert_eq!(shown(r#"up{a!~"b.*"}"#), Ok(vec![r#"a!~"b.*""#.into(), r#"__name__="up""#.into()]));
    assert_eq!(shown("up[5m]").unwrap_err().to_string(), r#"1:3: parse error: unexpected "[""#);
    assert_eq!(shown("1").unwrap_err().to_string(), r#"1:1: parse error: unexpected number "1""#);
}

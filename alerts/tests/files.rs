//! What rule files have since Prometheus 2.42, which the tests beside a real one cannot show.
#![allow(clippy::unwrap_used)]

use alerts::testing::test;

fn failures(rules: &str, tests: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yml"), rules).unwrap();
    let text = format!("rule_files: [rules.yml]\ntests:\n- interval: 1m\n{tests}");
    test(&dir.path().join("test.yml"), &text, &|path| Ok(vec![path.to_owned()])).failures
}

const SERIES: &str = "  input_series:\n  - {series: 'm{host=\"a\"}', values: '0+1x20'}\n";

/// Labels of a group are labels of its rules, which can say otherwise; what a group asks can lie before its own time.
#[test]
fn groups_have_labels_and_an_offset() {
    let rules = "groups:\n- name: g\n  query_offset: 2m\n  labels: {team: x, site: s}\n  rules:\n  - record: r\n    expr: m\n    \
                 labels: {site: t}\n  - alert: A\n    expr: m > 3\n    annotations: {value: '{{ $value }}'}\n";
    let tests = format!(
        "{SERIES}  promql_expr_test:\n  - expr: r\n    eval_time: 8m\n    exp_samples:\n    \
         - {{labels: 'r{{host=\"a\",site=\"t\",team=\"x\"}}', value: 6}}\n  alert_rule_test:\n  - eval_time: 5m\n    alertname: A\n  \
         - eval_time: 6m\n    alertname: A\n    exp_alerts:\n    \
         - {{exp_labels: {{host: a, team: x, site: s}}, exp_annotations: {{value: '4'}}}}\n"
    );
    assert_eq!(failures(rules, &tests), Vec::<String>::new());
    let wrong = failures(rules, &tests.replace("value: 6", "value: 7"));
    assert!(wrong.len() == 1 && wrong[0].contains("exp: ") && wrong[0].contains(" 7"), "{wrong:?}");
}

/// A rule that makes more than its group allows, or two of the same labels, does not work.
#[test]
fn what_a_rule_may_not_make_is_an_error() {
    for (rules, said) in [
        (
            "groups:\n- name: g\n  limit: 1\n  rules: [{record: r, expr: 'm or n'}]\n",
            "exceeded limit of 1 with 2 series",
        ),
        (
            "groups:\n- name: g\n  limit: 1\n  rules: [{alert: A, expr: 'm or n'}]\n",
            "exceeded limit of 1 with 2 alerts",
        ),
        (
            "groups:\n- name: g\n  rules: [{record: r, expr: 'm or n', labels: {host: x}}]\n",
            "same labelset after applying rule labels",
        ),
        (
            "groups:\n- name: g\n  rules: [{alert: A, expr: 'm or n', labels: {host: x}}]\n",
            "same labelset after applying alert labels",
        ),
        ("groups:\n- name: g\n  rules: [{alert: A, expr: '\"x\"'}]\n", "rule result is not a vector or scalar"),
    ] {
        let series = format!("{SERIES}  - {{series: 'n{{host=\"b\"}}', values: '0x20'}}\n");
        let found = failures(
            rules,
            &format!(
                "{series}  promql_expr_test:\n  - {{expr: vector(1), eval_time: 1m, exp_samples: [{{value: 1}}]}}\n"
            ),
        );
        assert!(found.len() == 1 && found[0].contains(said), "{rules}: {found:?}");
    }
}

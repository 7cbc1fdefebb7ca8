//! Requests for services that many use, as they describe them: their templates, and what their answers mean.

use std::collections::BTreeMap;

use super::ask::{Each, HttpAsk};

/// A service whose requests are known.
#[derive(Debug, Clone, Copy)]
pub struct ReadyMade {
    /// Its kind in the configuration.
    pub name: &'static str,
    /// Its address, where it has one for all.
    pub url: Option<&'static str>,
    /// What it takes in a minute.
    pub per_minute: Option<u32>,
    /// What the configuration has to say: keys of `secrets` and `settings`, and whether it needs `to`.
    pub needs: &'static [&'static str],
    each: Each,
    address: &'static str,
    define: &'static [&'static str],
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    success: &'static [(&'static str, &'static str)],
    again: &'static [(&'static str, &'static str)],
}

/// A service without anything particular.
const PLAIN: ReadyMade = ReadyMade {
    name: "",
    url: None,
    per_minute: None,
    needs: &[],
    each: Each::Notice,
    address: "{{ url }}",
    define: &[],
    headers: &[("Content-Type", "application/json; charset=utf-8")],
    body: "",
    success: &[],
    again: &[],
};

/// Those that are known.
pub const READY: [ReadyMade; 8] = [
    ReadyMade {
        name: "dingtalk",
        per_minute: Some(20),
        define: &[
            "sign = (now.ms ~ '\\n' ~ secrets.key | default('')) | hmac_sha256(secrets.key | default('')) | base64",
        ],
        address: "{{ url }}{% if secrets.key is defined %}&timestamp={{ now.ms }}&sign={{ sign | percent }}{% endif %}",
        body: "{% set words %}### {{ title }}\n{% for own in alerts %}\n- **[{{ own.level }}]** {{ own.summary }}  \n  {{ own.span }}{% endfor %}\n\
               {% for own in to %} @{{ own }}{% endfor %}{% endset %}\
               {\"msgtype\": \"markdown\", \"markdown\": {\"title\": {{ title | tojson }}, \"text\": {{ words | bytes_max(18000) | tojson }}}, \
               \"at\": {\"atMobiles\": {{ to | tojson }}, \"isAtAll\": false}}",
        success: &[("$.errcode", "^0$")],
        // The system is busy, or it was too much in a minute.
        again: &[("$.errcode", "^(-1|130101|410100)$")],
        ..PLAIN
    },
    ReadyMade {
        name: "feishu",
        per_minute: Some(100),
        define: &["sign = '' | hmac_sha256(now.s ~ '\\n' ~ secrets.key | default('')) | base64"],
        body: "{ {% if secrets.key is defined %}\"timestamp\": \"{{ now.s }}\", \"sign\": {{ sign | tojson }}, {% endif %}\
               \"msg_type\": \"text\", \"content\": {\"text\": {{ (title ~ '\\n\\n' ~ text) | bytes_max(18000) | tojson }}}}",
        success: &[("$.code", "^0$")],
        again: &[("$.code", "^(9499|11232)$")],
        ..PLAIN
    },
    ReadyMade {
        name: "wecom",
        per_minute: Some(20),
        body: "{% set words %}### {{ title }}\n{% for own in alerts %}\n> [{{ own.level }}] {{ own.summary }}\n> {{ own.span }}\n{% endfor %}\
               {% endset %}{% set whom %}{% for own in to %}<@{{ own }}>{% endfor %}{% endset %}\
               {\"msgtype\": \"markdown\", \"markdown\": {\"content\": {{ ((words | bytes_max(3800)) ~ whom) | tojson }}}}",
        success: &[("$.errcode", "^0$")],
        again: &[("$.errcode", "^(-1|45009)$")],
        ..PLAIN
    },
    ReadyMade {
        name: "slack",
        per_minute: Some(60),
        body: "{% set colours = {'critical': '#c62828', 'warning': '#1565c0', 'resolved': '#2e7d32'} %}\
               {\"text\": {{ title | tojson }}, \"attachments\": [{% for own in alerts %}{% if not loop.first %}, {% endif %}\
               {\"color\": {{ colours[own.level] | tojson }}, \"title\": {{ own.summary | tojson }}, \"text\": {{ own.span | tojson }}, \
               \"fallback\": {{ own.summary | tojson }}}{% endfor %}]}",
        ..PLAIN
    },
    ReadyMade {
        name: "telegram",
        url: Some("https://api.telegram.org"),
        per_minute: Some(20),
        needs: &["secrets.token", "to"],
        address: "{{ url }}/bot{{ secrets.token }}/sendMessage",
        body: "{\"chat_id\": {{ to[0] | tojson }}, \"text\": {{ (title ~ '\\n\\n' ~ text) | units_max(4096) | tojson }}, \
               \"disable_web_page_preview\": true}",
        success: &[("$.ok", "^true$")],
        ..PLAIN
    },
    ReadyMade {
        name: "pagerduty",
        url: Some("https://events.pagerduty.com/v2/enqueue"),
        needs: &["secrets.key"],
        // It tells doubles by the key, and what is over by it, too.
        each: Each::Alert,
        body: "{% set own = alerts[0] %}{\"routing_key\": {{ secrets.key | tojson }}, \"dedup_key\": {{ own.id | tojson }}, \
               \"event_action\": {% if own.status == 'firing' %}\"trigger\"{% else %}\"resolve\"{% endif %}, \"client\": \"fournines\", \
               \"client_url\": {{ external_url | tojson }}, \"payload\": {\"summary\": {{ own.summary | units_max(1024) | tojson }}, \
               \"source\": {{ own.target | default(channel, true) | tojson }}, \"severity\": {{ own.severity | tojson }}, \
               \"timestamp\": {{ own.starts.iso | tojson }}, \"custom_details\": {{ own.labels | tojson }}}}",
        success: &[("$.status", "^success$")],
        ..PLAIN
    },
    // https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature
    ReadyMade {
        name: "aliyun_sms",
        url: Some("https://dysmsapi.aliyuncs.com/"),
        per_minute: Some(1),
        needs: &["secrets.key", "settings.id", "settings.sign", "settings.template", "to"],
        define: &[
            "query = 'OutId=' ~ notice ~ '&PhoneNumbers=' ~ (to | join(',') | percent) ~ '&SignName=' ~ (settings.sign | percent) \
             ~ '&TemplateCode=' ~ (settings.template | percent) ~ '&TemplateParam=' ~ (variables | tojson | percent)",
            "empty = '' | sha256 | hex",
            "signed = 'host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version'",
            "lines = 'host:' ~ host ~ '\\nx-acs-action:SendSms\\nx-acs-content-sha256:' ~ empty ~ '\\nx-acs-date:' ~ now.iso \
             ~ '\\nx-acs-signature-nonce:' ~ nonce ~ '\\nx-acs-version:2017-05-25\\n'",
            "canonical = 'POST\\n/\\n' ~ query ~ '\\n' ~ lines ~ '\\n' ~ signed ~ '\\n' ~ empty",
            "sign = ('ACS3-HMAC-SHA256\\n' ~ (canonical | sha256 | hex)) | hmac_sha256(secrets.key) | hex",
        ],
        address: "{{ url }}?{{ query }}",
        headers: &[
            (
                "Authorization",
                "ACS3-HMAC-SHA256 Credential={{ settings.id }},SignedHeaders={{ signed }},Signature={{ sign }}",
            ),
            ("x-acs-action", "SendSms"),
            ("x-acs-content-sha256", "{{ empty }}"),
            ("x-acs-date", "{{ now.iso }}"),
            ("x-acs-signature-nonce", "{{ nonce }}"),
            ("x-acs-version", "2017-05-25"),
        ],
        success: &[("$.Code", "^OK$")],
        again: &[("$.Code", "^(isv[.]BUSINESS_LIMIT_CONTROL|isp[.]SYSTEM_ERROR|Throttling.*|ServiceUnavailable.*)$")],
        ..PLAIN
    },
    // https://cloud.tencent.com/document/api/382/52071
    ReadyMade {
        name: "tencent_sms",
        url: Some("https://sms.tencentcloudapi.com/"),
        per_minute: Some(1),
        needs: &["secrets.key", "settings.id", "settings.app", "settings.sign", "settings.template", "to"],
        define: &[
            "payload = {'PhoneNumberSet': to, 'SmsSdkAppId': settings.app, 'SignName': settings.sign, 'TemplateId': settings.template, \
             'TemplateParamSet': variables | items | map('last') | list, 'SessionContext': notice} | tojson",
            "scope = now.date ~ '/sms/tc3_request'",
            "canonical = 'POST\\n/\\n\\ncontent-type:application/json; charset=utf-8\\nhost:' ~ host ~ '\\n\\ncontent-type;host\\n' \
             ~ (payload | sha256 | hex)",
            "day = now.date | hmac_sha256('TC3' ~ secrets.key)",
            "key = 'tc3_request' | hmac_sha256('sms' | hmac_sha256(day))",
            "sign = ('TC3-HMAC-SHA256\\n' ~ now.s ~ '\\n' ~ scope ~ '\\n' ~ (canonical | sha256 | hex)) | hmac_sha256(key) | hex",
        ],
        headers: &[
            (
                "Authorization",
                "TC3-HMAC-SHA256 Credential={{ settings.id }}/{{ scope }}, SignedHeaders=content-type;host, Signature={{ sign }}",
            ),
            ("Content-Type", "application/json; charset=utf-8"),
            ("X-TC-Action", "SendSms"),
            ("X-TC-Region", "{{ settings.region | default('ap-guangzhou') }}"),
            ("X-TC-Timestamp", "{{ now.s }}"),
            ("X-TC-Version", "2021-01-11"),
        ],
        body: "{{ payload }}",
        // Of every number.
        success: &[("$.Response.SendStatusSet[*].Code", "^Ok$")],
        again: &[("$.Response.Error.Code", "^(RequestLimitExceeded|InternalError)")],
        ..PLAIN
    },
];

/// Services of short messages take approved texts with variables only; a variable has so many units, and no links.
const VARIABLES: [(&str, &str); 3] = [
    ("1", "{{ (alerts[0].target or channel) | no_links | units_max(35) }}"),
    ("2", "{{ alerts[0].name | units_max(35) }}"),
    ("3", "{{ alerts[0].level }}"),
];

impl ReadyMade {
    /// Its request, to which the configuration adds what is its own.
    #[must_use]
    pub fn ask(&self) -> HttpAsk {
        let owned = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        HttpAsk {
            each: self.each,
            method: "POST".into(),
            url: self.address.into(),
            define: self.define.iter().map(|own| (*own).to_owned()).collect(),
            headers: owned(self.headers),
            body: self.body.into(),
            success: owned(self.success),
            again: owned(self.again),
            variables: if self.name.ends_with("_sms") { owned(&VARIABLES) } else { BTreeMap::new() },
            ..HttpAsk::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::notices::channel::{Channel, Kind};
    use crate::notices::told::{Notice, Status, Told};

    fn channel(service: &ReadyMade) -> Channel {
        let keys = ["key", "token", "id", "sign", "template", "app"];
        let some: BTreeMap<String, String> = keys.map(|key| (key.to_owned(), format!("\"{key}'"))).into();
        let ask =
            HttpAsk { settings: some.clone(), secrets: some, to: vec!["1\"3\n8".into(), "x".into()], ..service.ask() };
        Channel::new("a", Kind::Http(service.name, Box::new(ask)), service.url.unwrap_or("http://x.example/hook?a=b"))
    }

    fn notice(text: &str, count: usize) -> Notice {
        let told = |number: usize| Told {
            alert: format!("{number:016x}"),
            status: if number.is_multiple_of(2) { Status::Firing } else { Status::Resolved },
            labels: ["alertname", "target", "severity"].map(|name| (name.to_owned(), text.to_owned())).into(),
            annotations: BTreeMap::from([("summary".to_owned(), text.to_owned())]),
            starts_ms: 1_777_593_600_000,
            ends_ms: None,
            value: None,
            severity: "critical".into(),
        };
        let alerts = (0..count).map(told).collect();
        Notice {
            id: "00ff".into(),
            channel: "a".into(),
            group: text.to_owned(),
            queued_ms: 0,
            alerts,
            held: None,
            may_be_heard: false,
        }
    }

    /// Quotes, line ends, scripts, letters of all kinds, and 100 kB of them: what a target says in its errors breaks no
    /// JSON, no address and no header, and is cut to what a service takes.
    #[test]
    fn whatever_stands_in_texts_requests_are_whole() {
        let long = "长\"'\\\r\n</script>&{{ 7*7 }} 😀 \u{0} \u{202e}".repeat(3000);
        let texts = [
            "",
            "\"",
            "\\",
            "a\r\nX-Evil: 1",
            "</script><script>",
            "%0d%0a&a=b#c",
            "{{ secrets.key }}{% for %}",
            "😀",
            &long,
        ];
        for (service, text) in READY.iter().flat_map(|service| texts.map(|text| (service, text))) {
            for count in [1, 3, if text.len() > 1000 { 5 } else { 150 }] {
                let channel = channel(service);
                let Kind::Http(_, ask) = &channel.kind else { unreachable!() };
                let all =
                    ask.fill(&channel, &notice(text, count), "http://127.0.0.1:9999/\"").unwrap_or_else(|error| {
                        panic!("{} {:.40} {count}: {error}", service.name, text);
                    });
                let expected = if service.name == "pagerduty" { count } else { 1 };
                assert_eq!(all.len(), expected, "{}", service.name);
                for own in all {
                    let url: hyper::Uri = own.url.parse().unwrap();
                    assert!(url.scheme_str().is_some_and(|scheme| scheme.starts_with("http")), "{url}");
                    assert!(own.headers.iter().all(|(_, value)| hyper::header::HeaderValue::from_str(value).is_ok()));
                    let whole: serde_json::Value = match own.body.is_empty() {
                        true => serde_json::Value::Null,
                        false => serde_json::from_slice(&own.body).unwrap_or_else(|error| {
                            panic!(
                                "{} {:.40}: {error}: {:.400}",
                                service.name,
                                text,
                                String::from_utf8_lossy(&own.body)
                            )
                        }),
                    };
                    let secret_is_told = whole["markdown"].to_string().contains("key'");
                    assert!(!secret_is_told, "{whole}");
                    check_size(service.name, &whole, &own.url);
                }
            }
        }
    }

    fn check_size(service: &str, body: &serde_json::Value, url: &str) {
        let bytes = |value: &serde_json::Value| value.as_str().unwrap().len();
        match service {
            "dingtalk" => assert!(bytes(&body["markdown"]["text"]) <= 20_000),
            "feishu" => assert!(bytes(&body["content"]["text"]) <= 20_000),
            "wecom" => assert!(bytes(&body["markdown"]["content"]) <= 4096),
            "telegram" => assert!(body["text"].as_str().unwrap().encode_utf16().count() <= 4096),
            "pagerduty" => assert!(body["payload"]["summary"].as_str().unwrap().chars().count() <= 1024),
            "tencent_sms" => {
                let all = body["TemplateParamSet"].as_array().unwrap();
                assert!(all.len() == 3 && all.iter().all(|own| own.as_str().unwrap().encode_utf16().count() <= 35));
            }
            "aliyun_sms" => assert!(url.len() < 4000, "{}", url.len()),
            _ => {}
        }
    }
}

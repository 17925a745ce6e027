//! The text of a search: what it finds at any depth of the trail, and how far it was searched.

use auditstream_engine::trail::search;
use auditstream_model::{EventFilter, EventPage};
use serde_json::{Value, json};

use crate::index::indexed;
use crate::on_both;
use crate::support::{House, events};

on_both![
    words_are_found_at_any_depth_and_parts_of_words_as_far_as_the_page_says,
    several_words_are_one_text_and_no_character_is_a_wildcard,
];

const OLD: i64 = 1_500_000_000_000;
const NEW: i64 = 1_600_000_000_000;

fn event(id: &str, time: i64, said: &str) -> Value {
    let mut event = events().remove(0);
    event["auditEventId"] = id.into();
    event["auditEventTime"] = time.to_string().into();
    event["auditEventMetadata"] = json!({"said": said});
    event
}

fn by_text(text: &str) -> EventFilter {
    EventFilter {
        q: Some(text.to_owned()),
        ..EventFilter::default()
    }
}

async fn page(house: &House, filter: &EventFilter) -> EventPage {
    search(&house.engine, &house.admin, filter).await.unwrap()
}

fn ids(page: &EventPage) -> Vec<String> {
    let id = |json: &str| serde_json::from_str::<Value>(json).unwrap()["auditEventId"].clone();
    let ids = page.events.iter().map(|event| id(&event.json));
    ids.map(|id| id.as_str().unwrap().to_owned()).collect()
}

async fn words_are_found_at_any_depth_and_parts_of_words_as_far_as_the_page_says(house: House) {
    house.send(&[event("deep", OLD, "the quick-needleword jumps")]).await;
    for request in 0..4_i64 {
        let newer = (0..600).map(|number| event(&format!("{request}-{number}"), NEW + request * 600 + number, "hay"));
        house.send(&newer.collect::<Vec<_>>()).await;
    }
    indexed(&house, &house.admin).await;
    for text in [
        "needleword",
        "NEEDLEWORD",
        "needlew",
        "quick-needle",
        "The Quick",
        "\"the quick",
        "word jumps",
    ] {
        let found = page(&house, &by_text(text)).await;
        let is_inside = text == "word jumps";
        assert_eq!(ids(&found).len(), usize::from(!is_inside), "{text}");
        let until = found.parts_searched_until;
        assert!(until.is_some_and(|until| until > OLD), "{text}: {until:?}");
    }
    for text in ["eedleword", "ick-needle", "word jumps", "\"said\":\"the"] {
        let mut filter = EventFilter {
            parts: Some(true),
            ..by_text(text)
        };
        let mut found = Vec::new();
        loop {
            let page = page(&house, &filter).await;
            found.extend(ids(&page));
            assert_eq!(page.parts_searched_until, None, "{text}: inside of words everywhere");
            let Some(next) = page.next else { break };
            filter.cursor = Some(next);
        }
        assert_eq!(found, ["deep"], "{text}");
    }
}

async fn several_words_are_one_text_and_no_character_is_a_wildcard(house: House) {
    let said = [
        ("adjacent", "alpha beta"),
        ("reversed", "beta alpha"),
        ("apart", "alpha gamma beta"),
        ("pattern", "s3:Get* or s3:Put?"),
        ("action", "s3:GetObject"),
    ];
    let sent: Vec<Value> = said.iter().map(|(id, said)| event(id, OLD, said)).collect();
    house.send(&sent).await;
    check_texts(&house).await;
    let newer = (0..600).map(|number| event(&format!("hay-{number}"), NEW + number, "hay"));
    house.send(&newer.collect::<Vec<_>>()).await;
    indexed(&house, &house.admin).await;
    check_texts(&house).await;
}

async fn check_texts(house: &House) {
    for (text, expected) in [
        ("alpha beta", &["adjacent"][..]),
        ("ALPHA  beta", &[]),
        ("alpha gamm", &["apart"]),
        ("alpha*", &[]),
        ("*", &["pattern"]),
        ("s3:get*", &["pattern"]),
        ("s3:put?", &["pattern"]),
        ("s3:get", &["action", "pattern"]),
        ("s3:%", &[]),
        ("s3_get", &[]),
    ] {
        let mut found = ids(&page(house, &by_text(text)).await);
        found.sort();
        assert_eq!(found, expected, "{text}");
    }
}

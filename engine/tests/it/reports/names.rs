//! Regions, buckets and endpoints as they are in use.

use auditstream_engine::{connectors, destinations};
use auditstream_model::{ConnectorSpec, Outcome, Status};
use auditstream_testkit::raw_http::Request;
use auditstream_testkit::responder::{Reply, Responder};
use auditstream_testkit::s3::BUCKET;
use serde_json::json;

use super::not_s3::{house, test};
use crate::support::{House, On, connector, destination, events};

const BUCKETS: &str = "<?xml version=\"1.0\"?><ListAllMyBucketsResult><Buckets><Bucket><Name>audit-logs</Name>\
                       </Bucket></Buckets></ListAllMyBucketsResult>";

/// A store that wants the region `NL` in signatures.
fn of_nl(request: &Request) -> Reply {
    if request.region() != Some("NL") {
        let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>expecting 'NL'</Message><Region>NL\
                    </Region></Error>";
        return Reply::new(400, body);
    }
    match request.method.as_str() {
        "GET" => Reply::new(200, BUCKETS),
        _ => Reply::new(200, "").with("etag", "\"1\""),
    }
}

#[tokio::test]
async fn region_upper_case() {
    let server = Responder::start(of_nl).await;
    let opened = house(connector(&server.endpoint)).await;
    opened.streamed().await;
    let found = test(&opened).await;
    assert_eq!(found.status, Outcome::Success, "{found:?}");
    assert!(format!("{found:?}").contains("the store's region is NL"), "{found:?}");
    for region in ["NL", "RegionOne", "us_standard"] {
        let mut input = connector(&server.endpoint);
        input.identifier = format!("of_{region}");
        input.spec.region = region.into();
        let made = connectors::create(&opened.engine, &opened.admin, input).await.unwrap();
        assert_eq!(made.connector.spec.region, region);
    }
    let found = connectors::test(&opened.engine, &opened.admin, "of_NL").await.unwrap();
    assert!(!format!("{found:?}").contains("Note"), "{found:?}");
}

#[tokio::test]
async fn bucket_names_in_use() {
    let server = Responder::start(|_| Reply::new(200, "").with("etag", "\"1\"")).await;
    let house = House::open(On::Sqlite).await;
    connectors::create(&house.engine, &house.admin, connector(&server.endpoint))
        .await
        .unwrap();
    house.send(&events()[..1]).await;
    for bucket in ["Legacy_Audit_Logs", "MyCompany.Audit", "audit-hrzrlukc5m36ft7o-s3alias"] {
        let mut input = destination(bucket, json!({}));
        input.identifier = bucket.replace(['.', '-'], "_");
        input.status = Some(Status::Active);
        destinations::create(&house.engine, &house.admin, input).await.unwrap();
        let start = format!("/{bucket}/account");
        let is_sent = || server.requests().iter().any(|put| put.path.starts_with(&start));
        for _ in 0..400 {
            if is_sent() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(is_sent(), "nothing was sent to {bucket}");
    }
}

#[tokio::test]
async fn endpoint_with_path() {
    let server = Responder::start(|request| match request.method.as_str() {
        "GET" => Reply::new(200, BUCKETS),
        _ => Reply::new(200, "").with("etag", "\"1\""),
    })
    .await;
    let opened = house(connector(&format!("{}/storage/v1/s3/", server.endpoint))).await;
    opened.streamed().await;
    assert_eq!(test(&opened).await.status, Outcome::Success);
    let requests = server.requests();
    assert!(!requests.is_empty());
    for request in &requests {
        assert!(request.path.starts_with("/storage/v1/s3/"), "{}", request.path);
    }
    let put = requests.iter().find(|request| request.method == "PUT").unwrap();
    assert!(
        put.path.starts_with(&format!("/storage/v1/s3/{BUCKET}/account")),
        "{}",
        put.path
    );
    let ConnectorSpec { endpoint, .. } = connectors::get(&opened.engine, &opened.admin, "aws")
        .await
        .unwrap()
        .connector
        .spec;
    assert!(endpoint.unwrap().ends_with("/storage/v1/s3"));
}

//! Get and list.

use serde_json::json;

use super::Server;
use crate::api::Profile;
use crate::request::{AnswerBody, ListAnswer};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn list(server: &Server, query: &str) -> ListAnswer {
    match server.send(&format!("GET {MAPS}{query}"), ()).await.unwrap().body {
        AnswerBody::List(list) => list,
        other => panic!("not a list: {other:?}"),
    }
}

fn names(list: &ListAnswer) -> Vec<String> {
    list.items.iter().map(|entry| entry.name().to_owned()).collect()
}

async fn filled() -> Server {
    let server = Server::start(Profile::Hub).await;
    for name in ["a", "b", "c", "d", "e"] {
        let body = json!({"metadata": {"name": name, "labels": {"own": name, "all": "yes"}}});
        server.ok(&format!("POST {MAPS}"), body).await;
    }
    server
}

#[tokio::test]
async fn pages_are_of_one_revision() {
    let server = filled().await;
    let first = list(&server, "?limit=2").await;
    assert_eq!(
        (names(&first), first.remaining),
        (vec!["a".to_owned(), "b".to_owned()], Some(3))
    );
    server.ok(&format!("DELETE {MAPS}/c"), ()).await;
    server
        .ok(&format!("POST {MAPS}"), json!({"metadata": {"name": "ca"}}))
        .await;
    let second = list(&server, &format!("?limit=2&continue={}", first.continue_token)).await;
    assert_eq!(names(&second), ["c", "d"], "the deletion came later");
    assert_eq!(second.revision, first.revision);
    let third = list(&server, &format!("?limit=2&continue={}", second.continue_token)).await;
    assert_eq!(names(&third), ["e"]);
    assert!(third.continue_token.is_empty() && third.remaining.is_none());
    assert_eq!(names(&list(&server, "").await), ["a", "b", "ca", "d", "e"]);
    let exact = format!("?resourceVersion={}&resourceVersionMatch=Exact", first.revision);
    assert_eq!(names(&list(&server, &exact).await), ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn selectors_select() {
    let server = filled().await;
    assert_eq!(names(&list(&server, "?labelSelector=own in (a,c)").await), ["a", "c"]);
    assert_eq!(names(&list(&server, "?fieldSelector=metadata.name=d").await), ["d"]);
    assert_eq!(
        names(&list(&server, "?fieldSelector=metadata.name!=d&labelSelector=own notin (a,b)").await),
        ["c", "e"]
    );
    let page = list(&server, "?labelSelector=all=yes&limit=1").await;
    assert_eq!(
        (page.items.len(), page.remaining, page.continue_token.is_empty()),
        (1, None, false)
    );
    server
        .check(
            &format!("GET {MAPS}?fieldSelector=spec.x=1"),
            (),
            r#"400 BadRequest: "spec.x" is not a known field selector: only "metadata.name", "metadata.namespace""#,
        )
        .await;
    assert_eq!(
        server
            .send(&format!("GET {MAPS}?labelSelector=a in"), ())
            .await
            .unwrap_err()
            .code,
        400
    );
}

#[tokio::test]
async fn what_a_list_refuses() {
    let server = filled().await;
    let invalid = r#"422 Invalid: ListOptions.meta.k8s.io "" is invalid: "#;
    for (query, expected) in [
        (
            "resourceVersionMatch=Exact",
            format!(
                "{invalid}resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
            ),
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            format!(
                r#"{invalid}resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0""#
            ),
        ),
        (
            "continue=x",
            "400 BadRequest: invalid continue token: continue key is not valid: Invalid input length: 1".to_owned(),
        ),
        (
            "resourceVersion=1&resourceVersionMatch=Exact",
            "410 Expired: too old resource version: 1 (1000)".to_owned(),
        ),
    ] {
        server.check(&format!("GET {MAPS}?{query}"), (), &expected).await;
    }
}

#[test]
fn a_revision_from_the_future_times_out() {
    let status = crate::verbs::read_error(storage::ReadError::Future {
        requested: 7,
        current: 5,
    });
    assert_eq!(
        (status.code, status.message.as_str()),
        (504, "Timeout: Too large resource version: 7, current: 5")
    );
    let details = status.details.unwrap();
    assert_eq!(
        (details.retry_after_seconds, details.causes[0].reason.as_str()),
        (1, "ResourceVersionTooLarge")
    );
}

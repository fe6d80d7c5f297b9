//! Bodies as Go clients send them: protobuf that somebody else's encoder wrote, for everything that is not an object of its own.

use k8s_pb::api::authentication::v1 as authentication;
use k8s_pb::api::authorization::v1 as authorization;
use k8s_pb::api::autoscaling::v1 as autoscaling;
use k8s_pb::api::core::v1 as core;
use k8s_pb::api::policy::v1 as policy;
use k8s_pb::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_pb::apimachinery::pkg::runtime::{TypeMeta, Unknown};
use prost::Message;

use super::*;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const MAGIC: &[u8] = b"k8s\0";

#[allow(clippy::unnecessary_wraps, reason = "every field of a message is optional")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[allow(clippy::unnecessary_wraps, reason = "every field of a message is optional")]
fn named(name: &str) -> Option<meta::ObjectMeta> {
    Some(meta::ObjectMeta {
        name: some(name),
        ..meta::ObjectMeta::default()
    })
}

/// The envelope of client-go.
fn envelope(api_version: &str, kind: &str, message: &impl Message) -> Vec<u8> {
    let unknown = Unknown {
        type_meta: Some(TypeMeta {
            api_version: some(api_version),
            kind: some(kind),
        }),
        raw: Some(message.encode_to_vec()),
        content_encoding: some(""),
        content_type: some(""),
    };
    [MAGIC, &unknown.encode_to_vec()].concat()
}

/// Sends a message and reads the answer as one; the code and kind of the answer come first.
async fn send<Answer: Message + Default>(
    client: &mut Client,
    line: &str,
    (api_version, kind): (&str, &str),
    message: &impl Message,
) -> (u16, String, Answer) {
    let (method, path) = line.split_once(' ').unwrap();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", PROTOBUF)
        .header("accept", PROTOBUF)
        .body(Full::new(Bytes::from(envelope(api_version, kind, message))))
        .unwrap();
    client.sender.ready().await.unwrap();
    let response = tokio::time::timeout(SOON, client.sender.send_request(request))
        .await
        .unwrap()
        .unwrap();
    let code = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], PROTOBUF, "{line}");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let unknown = Unknown::decode(body.strip_prefix(MAGIC).expect("the magic")).unwrap();
    let kind = unknown.type_meta.unwrap().kind.unwrap();
    let raw = unknown.raw.unwrap();
    // The caller knows by the kind whether this is what was asked for.
    (code, kind, Answer::decode(raw.as_slice()).unwrap_or_default())
}

const AUTHENTICATION: &str = "/apis/authentication.k8s.io/v1";
const AUTHORIZATION: &str = "/apis/authorization.k8s.io/v1";

#[tokio::test]
async fn tokens_are_asked_for_and_reviewed() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let account = core::ServiceAccount {
        metadata: named("robot"),
        ..core::ServiceAccount::default()
    };
    let line = format!("POST {accounts}");
    let (code, kind, made) = send::<core::ServiceAccount>(&mut admin, &line, ("v1", "ServiceAccount"), &account).await;
    assert_eq!((code, kind.as_str()), (201, "ServiceAccount"));
    let uid = made.metadata.unwrap().uid.unwrap();
    assert!(!uid.is_empty());

    let wanted = authentication::TokenRequest {
        spec: Some(authentication::TokenRequestSpec {
            audiences: vec!["one".to_owned(), "two".to_owned()],
            expiration_seconds: Some(1200),
            bound_object_ref: None,
        }),
        ..authentication::TokenRequest::default()
    };
    let group = "authentication.k8s.io/v1";
    let line = format!("POST {accounts}/robot/token");
    let asked = (group, "TokenRequest");
    let (code, kind, made) = send::<authentication::TokenRequest>(&mut admin, &line, asked, &wanted).await;
    assert_eq!((code, kind.as_str()), (201, "TokenRequest"));
    assert_eq!(made.spec, wanted.spec);
    let given = made.status.unwrap();
    let left = given.expiration_timestamp.unwrap().seconds.unwrap() - server.api.clock.now().as_second();
    assert!((1100..=1200).contains(&left), "{left}");
    let token = given.token.unwrap();

    let review = |audience: &str| authentication::TokenReview {
        spec: Some(authentication::TokenReviewSpec {
            token: Some(token.clone()),
            audiences: vec![audience.to_owned()],
        }),
        ..authentication::TokenReview::default()
    };
    let line = format!("POST {AUTHENTICATION}/tokenreviews");
    let asked = (group, "TokenReview");
    let (code, kind, told) = send::<authentication::TokenReview>(&mut admin, &line, asked, &review("two")).await;
    let status = told.status.unwrap();
    assert_eq!(
        (code, kind.as_str(), status.authenticated),
        (201, "TokenReview", Some(true))
    );
    let user = status.user.unwrap();
    assert_eq!(user.username.as_deref(), Some("system:serviceaccount:default:robot"));
    assert_eq!(user.uid.as_deref(), Some(uid.as_str()));
    assert_eq!(user.groups.len(), 3, "{:?}", user.groups);
    assert_eq!(status.audiences, ["two"]);
    let (_, _, told) = send::<authentication::TokenReview>(&mut admin, &line, asked, &review("three")).await;
    assert!(!told.status.unwrap().authenticated.unwrap_or_default());

    let line = format!("POST {AUTHENTICATION}/selfsubjectreviews");
    let who = authentication::SelfSubjectReview::default();
    let asked = (group, "SelfSubjectReview");
    let (code, _, told) = send::<authentication::SelfSubjectReview>(&mut admin, &line, asked, &who).await;
    let user = told.status.unwrap().user_info.unwrap();
    assert_eq!((code, user.username.as_deref()), (201, Some("kubernetes-admin")));
}

#[tokio::test]
async fn access_is_reviewed() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let group = "authorization.k8s.io/v1";
    let attributes = |verb: &str| authorization::ResourceAttributes {
        namespace: some("default"),
        verb: some(verb),
        resource: some("pods"),
        label_selector: Some(authorization::LabelSelectorAttributes {
            raw_selector: some("&"),
            requirements: Vec::new(),
        }),
        ..authorization::ResourceAttributes::default()
    };
    let spec = |user: &str| authorization::SubjectAccessReviewSpec {
        user: some(user),
        groups: vec!["system:authenticated".to_owned()],
        resource_attributes: Some(attributes("list")),
        extra: [(
            "scopes".to_owned(),
            authorization::ExtraValue {
                items: vec!["a".to_owned()],
            },
        )]
        .into(),
        ..authorization::SubjectAccessReviewSpec::default()
    };
    let ignored = "spec.resourceAttributes.labelSelector ignored due to parse error";

    let review = authorization::SubjectAccessReview {
        spec: Some(spec("eve")),
        ..authorization::SubjectAccessReview::default()
    };
    let line = format!("POST {AUTHORIZATION}/subjectaccessreviews");
    let asked = (group, "SubjectAccessReview");
    let (code, kind, told) = send::<authorization::SubjectAccessReview>(&mut admin, &line, asked, &review).await;
    let status = told.status.unwrap();
    assert_eq!((code, kind.as_str()), (201, "SubjectAccessReview"));
    assert!(!status.allowed.unwrap_or_default());
    assert_eq!(status.evaluation_error.as_deref(), Some(ignored));
    let spec_told = told.spec.unwrap();
    assert_eq!(
        (spec_told.user.as_deref(), &spec_told.extra),
        (Some("eve"), &spec("").extra)
    );

    let review = authorization::LocalSubjectAccessReview {
        metadata: Some(meta::ObjectMeta {
            namespace: some("default"),
            ..meta::ObjectMeta::default()
        }),
        spec: Some(spec("eve")),
        ..authorization::LocalSubjectAccessReview::default()
    };
    let line = format!("POST {AUTHORIZATION}/namespaces/default/localsubjectaccessreviews");
    let asked = (group, "LocalSubjectAccessReview");
    let (code, kind, _) = send::<authorization::LocalSubjectAccessReview>(&mut admin, &line, asked, &review).await;
    assert_eq!((code, kind.as_str()), (201, "LocalSubjectAccessReview"));

    let review = authorization::SelfSubjectAccessReview {
        spec: Some(authorization::SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes("list")),
            ..authorization::SelfSubjectAccessReviewSpec::default()
        }),
        ..authorization::SelfSubjectAccessReview::default()
    };
    let line = format!("POST {AUTHORIZATION}/selfsubjectaccessreviews");
    let asked = (group, "SelfSubjectAccessReview");
    let (code, _, told) = send::<authorization::SelfSubjectAccessReview>(&mut admin, &line, asked, &review).await;
    assert_eq!((code, told.status.unwrap().allowed), (201, Some(true)));

    let review = authorization::SelfSubjectRulesReview {
        spec: Some(authorization::SelfSubjectRulesReviewSpec {
            namespace: some("default"),
        }),
        ..authorization::SelfSubjectRulesReview::default()
    };
    let line = format!("POST {AUTHORIZATION}/selfsubjectrulesreviews");
    let asked = (group, "SelfSubjectRulesReview");
    let (code, _, told) = send::<authorization::SelfSubjectRulesReview>(&mut admin, &line, asked, &review).await;
    let rules = told.status.unwrap().resource_rules;
    assert!(
        code == 201 && rules.iter().any(|rule| rule.verbs == ["*"] && rule.resources == ["*"]),
        "{rules:?}"
    );
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

#[tokio::test]
async fn pods_are_bound_and_evicted_and_workloads_scaled() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let pods = "/api/v1/namespaces/default/pods";
    admin.ok(&format!("POST {pods}"), &pod("one")).await;
    let binding = core::Binding {
        metadata: named("one"),
        target: Some(core::ObjectReference {
            kind: some("Node"),
            name: some("n1"),
            ..core::ObjectReference::default()
        }),
    };
    let line = format!("POST {pods}/one/binding");
    let (code, kind, told) = send::<meta::Status>(&mut admin, &line, ("v1", "Binding"), &binding).await;
    assert_eq!(
        (code, kind.as_str(), told.status.as_deref()),
        (201, "Status", Some("Success"))
    );
    assert_eq!(
        admin.ok(&format!("GET {pods}/one"), &Value::Null).await["spec"]["nodeName"],
        "n1"
    );

    let budget =
        json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}}});
    admin
        .ok("POST /apis/policy/v1/namespaces/default/poddisruptionbudgets", &budget)
        .await;
    admin
        .json(
            "PATCH /apis/policy/v1/namespaces/default/poddisruptionbudgets/b/status",
            &[("content-type", "application/merge-patch+json")],
            &json!({"status": {"disruptionsAllowed": 1, "observedGeneration": 1}}),
        )
        .await;
    let merge = ("content-type", "application/merge-patch+json");
    let running = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    let run = format!("PATCH {pods}/one/status");
    assert_eq!(admin.json(&run, &[merge], &running).await.0, 200);
    let eviction = |dry: bool| policy::Eviction {
        metadata: named("one"),
        delete_options: Some(meta::DeleteOptions {
            grace_period_seconds: Some(0),
            dry_run: if dry { vec!["All".to_owned()] } else { Vec::new() },
            ..meta::DeleteOptions::default()
        }),
    };
    let line = format!("POST {pods}/one/eviction");
    let asked = ("policy/v1", "Eviction");
    for dry in [true, false] {
        let (code, _, told) = send::<meta::Status>(&mut admin, &line, asked, &eviction(dry)).await;
        assert_eq!((code, told.status.as_deref()), (201, Some("Success")), "{told:?}");
        let (code, _) = admin.json(&format!("GET {pods}/one"), &[], &Value::Null).await;
        assert_eq!(code, if dry { 200 } else { 404 });
    }
    // There is none left to take.
    admin.ok(&format!("POST {pods}"), &pod("one")).await;
    assert_eq!(admin.json(&run, &[merge], &running).await.0, 200);
    let (code, _, told) = send::<meta::Status>(&mut admin, &line, asked, &eviction(false)).await;
    assert_eq!(
        (code, told.reason.as_deref()),
        (429, Some("TooManyRequests")),
        "{told:?}"
    );

    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": pod("")["spec"]});
    let web =
        json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template}});
    admin.ok(&format!("POST {deployments}"), &web).await;
    let scale = autoscaling::Scale {
        metadata: named("web"),
        spec: Some(autoscaling::ScaleSpec { replicas: Some(5) }),
        status: None,
    };
    let line = format!("PUT {deployments}/web/scale");
    let asked = ("autoscaling/v1", "Scale");
    let (code, kind, told) = send::<autoscaling::Scale>(&mut admin, &line, asked, &scale).await;
    assert_eq!(
        (code, kind.as_str(), told.spec.unwrap().replicas),
        (200, "Scale", Some(5))
    );
    assert_eq!(told.status.unwrap().selector.as_deref(), Some("app=a"));
    let other = autoscaling::Scale {
        spec: Some(autoscaling::ScaleSpec { replicas: Some(-1) }),
        ..scale
    };
    let (code, kind, told) = send::<meta::Status>(&mut admin, &line, asked, &other).await;
    assert_eq!(
        (code, kind.as_str(), told.reason.as_deref()),
        (422, "Status", Some("Invalid"))
    );
}

#[tokio::test]
async fn deletions_have_options() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    for name in ["one", "two", "three"] {
        admin.ok(&format!("POST {maps}"), &config_map(name, &json!({}))).await;
    }
    let options = |edit: &dyn Fn(&mut meta::DeleteOptions)| {
        let mut options = meta::DeleteOptions::default();
        edit(&mut options);
        options
    };
    let line = format!("DELETE {maps}/one");
    let asked = ("v1", "DeleteOptions");
    let other = options(&|own| {
        own.preconditions = Some(meta::Preconditions {
            uid: some("another"),
            resource_version: None,
        });
    });
    let (code, _, told) = send::<meta::Status>(&mut admin, &line, asked, &other).await;
    assert_eq!((code, told.reason.as_deref()), (409, Some("Conflict")), "{told:?}");
    let wrong = options(&|own| own.propagation_policy = some("Sideways"));
    let (code, _, told) = send::<meta::Status>(&mut admin, &line, asked, &wrong).await;
    assert_eq!((code, told.reason.as_deref()), (422, Some("Invalid")), "{told:?}");
    let dry = options(&|own| own.dry_run = vec!["All".to_owned()]);
    assert_eq!(send::<meta::Status>(&mut admin, &line, asked, &dry).await.0, 200);
    assert_eq!(admin.json(&format!("GET {maps}/one"), &[], &Value::Null).await.0, 200);
    let orphan = options(&|own| own.propagation_policy = some("Background"));
    let (code, kind, told) = send::<meta::Status>(&mut admin, &line, asked, &orphan).await;
    assert_eq!(
        (code, kind.as_str(), told.status.as_deref()),
        (200, "Status", Some("Success"))
    );
    // The spelling of clients that put the options into the group of the object.
    let line = format!("DELETE {maps}/two");
    assert_eq!(
        send::<meta::Status>(&mut admin, &line, ("meta.k8s.io/v1", "DeleteOptions"), &orphan)
            .await
            .0,
        200
    );
    let (code, _, _) = send::<meta::Status>(&mut admin, &format!("DELETE {maps}"), asked, &orphan).await;
    assert_eq!(code, 200);
    let left = admin.ok(&format!("GET {maps}"), &Value::Null).await;
    let names: Vec<&str> = left["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|map| map["metadata"]["name"].as_str())
        .collect();
    assert!(!names.contains(&"three"), "{names:?}");

    // Options are built in, whatever they are about; custom objects have no protobuf form.
    let policies = "/apis/policy.karmada.io/v1alpha1/namespaces/default/propagationpolicies";
    let policy = json!({"apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": "p"},
        "spec": {"resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap"}]}});
    admin.ok(&format!("POST {policies}"), &policy).await;
    let headers = [("content-type", PROTOBUF)];
    let (code, told) = admin.json(&format!("POST {policies}"), &headers, &policy).await;
    assert_eq!((code, &told["reason"]), (415, &json!("UnsupportedMediaType")), "{told}");
    let body = Bytes::from(envelope("v1", "DeleteOptions", &dry));
    let request = Request::delete(format!("{policies}/p")).header("host", "localhost");
    let request = request.header("content-type", PROTOBUF).body(Full::new(body)).unwrap();
    admin.sender.ready().await.unwrap();
    let response = admin.sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap();
    let (code, gone) = admin.json(&format!("DELETE {policies}/p"), &[], &Value::Null).await;
    assert_eq!(code, 200, "{gone}");

    // What is no message of that kind.
    let line = format!("DELETE {maps}/three");
    let (code, _, told) = send::<meta::Status>(&mut admin, &line, ("v1", "ConfigMap"), &orphan).await;
    assert_eq!((code, told.reason.as_deref()), (400, Some("BadRequest")), "{told:?}");
}

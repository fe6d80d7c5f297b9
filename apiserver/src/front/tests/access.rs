//! Who may do what: roles, bindings, reviews and impersonation, asked as a client asks.

use super::*;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Sends a request as `USER[,GROUP...]` and tells the code, and the message of a failure.
async fn ask(client: &mut Client, who: &str, line: &str, body: Value) -> String {
    let (code, answer) = answer(client, who, line, body).await;
    if answer["kind"] == "Status" && code >= 400 {
        format!("{code} {}", answer["message"].as_str().unwrap_or_default())
    } else {
        code.to_string()
    }
}

async fn answer(client: &mut Client, who: &str, line: &str, body: Value) -> (u16, Value) {
    let mut names = who.split(',');
    let mut headers = vec![("impersonate-user", names.next().unwrap_or_default())];
    headers.extend(names.map(|group| ("impersonate-group", group)));
    if line.starts_with("PATCH") {
        headers.push(("content-type", "application/merge-patch+json"));
    }
    client.json(line, &headers, &body).await
}

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
}

fn role(kind: &str, name: &str, rules: &[Value]) -> Value {
    let api_version = "rbac.authorization.k8s.io/v1";
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "rules": rules})
}

/// `subject` is `User/NAME`, `Group/NAME` or `ServiceAccount/NAMESPACE/NAME`.
fn binding(kind: &str, name: &str, role: &str, subject: &str) -> Value {
    let group = "rbac.authorization.k8s.io";
    let (role_kind, role) = role.split_once('/').unwrap();
    let (subject_kind, who) = subject.split_once('/').unwrap();
    let subject = match who.split_once('/') {
        Some((namespace, name)) => json!({"kind": subject_kind, "namespace": namespace, "name": name}),
        None => json!({"kind": subject_kind, "apiGroup": group, "name": who}),
    };
    json!({
        "apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": name}, "subjects": [subject],
        "roleRef": {"apiGroup": group, "kind": role_kind, "name": role},
    })
}

#[tokio::test]
async fn a_binding_counts_at_once_and_until_it_goes() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let list = "GET /api/v1/namespaces/default/pods";
    let refused =
        r#"403 pods is forbidden: User "eve" cannot list resource "pods" in API group "" in the namespace "default""#;
    for round in 0..3 {
        assert_eq!(ask(&mut admin, "eve", list, Value::Null).await, refused, "{round}");
        let bound = binding("RoleBinding", "b", "Role/r", "User/eve");
        admin
            .ok(&format!("POST {RBAC}/namespaces/default/rolebindings"), &bound)
            .await;
        let missing = format!(r#"{refused}: RBAC: role.rbac.authorization.k8s.io "r" not found"#);
        assert_eq!(ask(&mut admin, "eve", list, Value::Null).await, missing);
        let reads = role("Role", "r", &[rule(&["list"], "", &["pods"])]);
        admin.ok(&format!("POST {RBAC}/namespaces/default/roles"), &reads).await;
        assert_eq!(ask(&mut admin, "eve", list, Value::Null).await, "200");
        let elsewhere = ask(&mut admin, "eve", "GET /api/v1/pods", Value::Null).await;
        assert_eq!(
            elsewhere,
            r#"403 pods is forbidden: User "eve" cannot list resource "pods" in API group "" at the cluster scope"#
        );
        admin
            .ok(&format!("DELETE {RBAC}/namespaces/default/roles/r"), &Value::Null)
            .await;
        assert_eq!(ask(&mut admin, "eve", list, Value::Null).await, missing);
        admin
            .ok(
                &format!("DELETE {RBAC}/namespaces/default/rolebindings/b"),
                &Value::Null,
            )
            .await;
    }
    // More changes than a watch keeps while nobody asks.
    for index in 0..40 {
        let bound = binding(
            "ClusterRoleBinding",
            &format!("b{index}"),
            "ClusterRole/view",
            &format!("Group/g{index}"),
        );
        admin.ok(&format!("POST {RBAC}/clusterrolebindings"), &bound).await;
    }
    assert_eq!(ask(&mut admin, "eve,g0", list, Value::Null).await, "200");
    assert_eq!(ask(&mut admin, "eve,g39", list, Value::Null).await, "200");
}

#[tokio::test]
async fn default_roles_give_what_they_say() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    for name in ["admin", "edit", "view"] {
        let bound = binding(
            "ClusterRoleBinding",
            name,
            &format!("ClusterRole/{name}"),
            &format!("Group/{name}"),
        );
        admin.ok(&format!("POST {RBAC}/clusterrolebindings"), &bound).await;
    }
    let policies = "/apis/policy.karmada.io/v1alpha1/namespaces/default/propagationpolicies";
    let bindings = "/apis/work.karmada.io/v1alpha2/namespaces/default/resourcebindings";
    let works = "/apis/work.karmada.io/v1alpha1/namespaces/default/works";
    let secrets = "/api/v1/namespaces/default/secrets";
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    for (group, line, allowed) in [
        ("view", format!("GET {policies}"), true),
        ("view", format!("GET {bindings}"), true),
        (
            "view",
            "GET /apis/cluster.karmada.io/v1alpha1/clusters".to_owned(),
            true,
        ),
        ("view", format!("GET {works}"), false),
        ("view", format!("GET {secrets}"), false),
        ("view", format!("DELETE {policies}"), false),
        ("edit", format!("DELETE {policies}"), true),
        ("edit", format!("GET {secrets}"), true),
        ("edit", format!("DELETE {bindings}"), false),
        ("edit", format!("GET {works}"), false),
        ("edit", format!("GET {roles}"), false),
        ("admin", format!("GET {roles}"), true),
        ("admin", format!("DELETE {policies}"), true),
        ("admin", format!("GET {works}"), false),
        ("none", "GET /apis".to_owned(), true),
        ("none", "GET /metrics".to_owned(), false),
        ("none", "GET /api/v1/namespaces/default/configmaps".to_owned(), false),
    ] {
        let found = ask(&mut admin, &format!("eve,{group}"), &line, Value::Null).await;
        assert_eq!(!found.starts_with("403"), allowed, "{group} {line}: {found}");
    }
    let mut anybody = server.client(None).await;
    for (line, code) in [
        ("GET /version", 200),
        ("GET /readyz", 200),
        ("GET /api", 403),
        ("GET /readyz/ping", 403),
    ] {
        assert_eq!(anybody.text(line, &[], "").await.0, code, "{line}");
    }
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_hold() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let all = ["create", "update", "patch", "get"];
    let rbac = "rbac.authorization.k8s.io";
    let writes = [
        rule(
            &all,
            rbac,
            &["roles", "rolebindings", "clusterroles", "clusterrolebindings"],
        ),
        rule(&["get", "list"], "", &["pods"]),
    ];
    admin
        .ok(
            &format!("POST {RBAC}/clusterroles"),
            &role("ClusterRole", "writer", &writes),
        )
        .await;
    for (name, verb, what) in [("escalates", "escalate", "roles"), ("binds", "bind", "clusterroles")] {
        let one = role("ClusterRole", name, &[rule(&[verb], rbac, &[what])]);
        admin.ok(&format!("POST {RBAC}/clusterroles"), &one).await;
        let bound = binding(
            "ClusterRoleBinding",
            name,
            &format!("ClusterRole/{name}"),
            &format!("Group/{name}"),
        );
        admin.ok(&format!("POST {RBAC}/clusterrolebindings"), &bound).await;
    }
    let bound = binding("ClusterRoleBinding", "writer", "ClusterRole/writer", "User/eve");
    admin.ok(&format!("POST {RBAC}/clusterrolebindings"), &bound).await;

    let roles = format!("{RBAC}/namespaces/default/roles");
    let reads = role("Role", "reads", &[rule(&["get"], "", &["pods"])]);
    assert_eq!(ask(&mut admin, "eve", &format!("POST {roles}"), reads).await, "201");
    let more = json!([
        rule(&["get", "delete"], "", &["pods"]),
        rule(&["get"], "", &["secrets"])
    ]);
    let refused = r#"403 roles.rbac.authorization.k8s.io "reads" is forbidden: user "eve" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}
{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#;
    let patch = format!("PATCH {roles}/reads");
    assert_eq!(ask(&mut admin, "eve", &patch, json!({"rules": more})).await, refused);
    let finalizers = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    assert_eq!(
        ask(&mut admin, "eve,escalates", &patch, json!({"rules": more})).await,
        "200"
    );
    assert_eq!(ask(&mut admin, "eve", &patch, finalizers).await, "200");
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    assert!(ask(&mut admin, "eve", &patch, labels).await.starts_with("403"));

    let mut gathers = role("ClusterRole", "gathers", &[]);
    gathers["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]});
    let refused = r#"403 clusterroles.rbac.authorization.k8s.io "gathers" is forbidden: must have cluster-admin privileges to use the aggregationRule"#;
    assert_eq!(
        ask(&mut admin, "eve", &format!("POST {RBAC}/clusterroles"), gathers).await,
        refused
    );

    let bindings = format!("POST {RBAC}/namespaces/default/rolebindings");
    let bob = |role: &str| binding("RoleBinding", "bob", role, "User/bob");
    let found = ask(&mut admin, "eve", &bindings, bob("ClusterRole/karmada-view")).await;
    let start = r#"403 rolebindings.rbac.authorization.k8s.io "bob" is forbidden: user "eve" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:["apps.karmada.io"], Resources:["workloadrebalancers"], Verbs:["get" "list" "watch"]}
"#;
    assert!(found.starts_with(start), "{found}");
    let found = ask(&mut admin, "eve", &bindings, bob("Role/none")).await;
    assert_eq!(found, r#"404 roles.rbac.authorization.k8s.io "none" not found"#);
    assert_eq!(
        ask(&mut admin, "eve,binds", &bindings, bob("ClusterRole/karmada-view")).await,
        "201"
    );
    let bound = format!("{RBAC}/namespaces/default/rolebindings/bob");
    let other = json!({"roleRef": {"name": "karmada-edit"}});
    let (code, text) = answer(&mut admin, "eve,binds", &format!("PATCH {bound}"), other).await;
    assert_eq!(code, 422, "{text}");
    let message = text["message"].as_str().unwrap();
    assert!(message.ends_with("cannot change roleRef"), "{message}");
}

#[tokio::test]
async fn reviews_answer_for_the_whole_chain() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let bound = binding(
        "ClusterRoleBinding",
        "robots",
        "ClusterRole/view",
        "ServiceAccount/default/robot",
    );
    admin.ok(&format!("POST {RBAC}/clusterrolebindings"), &bound).await;
    let review = |kind: &str, spec: Value| json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec});
    let path = "POST /apis/authorization.k8s.io/v1";
    let pods =
        json!({"verb": "list", "resource": "pods", "namespace": "default", "labelSelector": {"rawSelector": "a=b"}});
    let robot = "system:serviceaccount:default:robot";
    let asked = review(
        "SubjectAccessReview",
        json!({"user": robot, "resourceAttributes": pods}),
    );
    let found = admin.ok(&format!("{path}/subjectaccessreviews"), &asked).await;
    let reason =
        r#"RBAC: allowed by ClusterRoleBinding "robots" of ClusterRole "view" to ServiceAccount "robot/default""#;
    assert_eq!(found["status"], json!({"allowed": true, "reason": reason}));
    let asked = review(
        "SubjectAccessReview",
        json!({"user": "eve", "nonResourceAttributes": {"verb": "get", "path": "/"}}),
    );
    let found = admin.ok(&format!("{path}/subjectaccessreviews"), &asked).await;
    assert_eq!(found["status"], json!({"allowed": false}));
    let own = review("SelfSubjectAccessReview", json!({"resourceAttributes": pods}));
    let (code, found) = answer(&mut admin, robot, &format!("{path}/selfsubjectaccessreviews"), own).await;
    assert_eq!((code, &found["status"]["allowed"]), (201, &json!(true)));
    for (kind, place, spec, expected) in [
        (
            "SubjectAccessReview",
            "subjectaccessreviews",
            json!({"resourceAttributes": pods, "nonResourceAttributes": {"verb": "get"}}),
            r#"[spec.nonResourceAttributes: Invalid value: {"verb":"get"}: cannot be specified in combination with resourceAttributes, spec.user: Invalid value: "": at least one of user or group must be specified]"#,
        ),
        (
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
            json!({}),
            r#"spec.resourceAttributes: Invalid value: "null": exactly one of nonResourceAttributes or resourceAttributes must be specified"#,
        ),
        (
            "LocalSubjectAccessReview",
            "namespaces/kube-system/localsubjectaccessreviews",
            json!({"user": "eve", "resourceAttributes": pods}),
            r#"spec.resourceAttributes.namespace: Invalid value: "default": must match metadata.namespace"#,
        ),
    ] {
        let (code, found) = admin.json(&format!("{path}/{place}"), &[], &review(kind, spec)).await;
        let expected = format!(".authorization.k8s.io \"\" is invalid: {expected}");
        assert_eq!((code, found["message"].as_str().unwrap()), (422, expected.as_str()));
    }
    let rules = review("SelfSubjectRulesReview", json!({"namespace": "default"}));
    let (_, found) = answer(
        &mut admin,
        "eve",
        &format!("{path}/selfsubjectrulesreviews"),
        rules.clone(),
    )
    .await;
    let status = &found["status"];
    assert_eq!(status["incomplete"], false);
    let own = json!({"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]});
    assert_eq!(status["resourceRules"][0], own, "{status}");
    assert!(status["nonResourceRules"].as_array().unwrap().len() >= 2, "{status}");
    let found = admin.ok(&format!("{path}/selfsubjectrulesreviews"), &rules).await;
    let all = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
    assert!(
        found["status"]["resourceRules"].as_array().unwrap().contains(&all),
        "{found}"
    );
    let nowhere = review("SelfSubjectRulesReview", json!({}));
    let found = ask(&mut admin, "eve", &format!("{path}/selfsubjectrulesreviews"), nowhere).await;
    assert_eq!(found, "400 no namespace on request");
}

#[tokio::test]
async fn who_signs_needs_leave_for_the_signer() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let group = "certificates.k8s.io";
    let approves = rule(
        &["get", "update"],
        group,
        &["certificatesigningrequests/approval", "certificatesigningrequests"],
    );
    admin
        .ok(
            &format!("POST {RBAC}/clusterroles"),
            &role("ClusterRole", "approves", &[approves]),
        )
        .await;
    let mut signer = rule(&["approve"], group, &["signers"]);
    signer["resourceNames"] = json!(["example.com/*"]);
    admin
        .ok(
            &format!("POST {RBAC}/clusterroles"),
            &role("ClusterRole", "signer", &[signer]),
        )
        .await;
    for (role, subject) in [
        ("approves", "User/eve"),
        ("approves", "User/bob"),
        ("signer", "User/bob"),
    ] {
        let name = format!("{role}-{}", subject.replace('/', "-").to_lowercase());
        let bound = binding("ClusterRoleBinding", &name, &format!("ClusterRole/{role}"), subject);
        admin.ok(&format!("POST {RBAC}/clusterrolebindings"), &bound).await;
    }
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let request = rcgen::CertificateParams::default()
        .serialize_request(&rcgen::KeyPair::generate().unwrap())
        .unwrap();
    let request = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, request.pem().unwrap());
    let wanted = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "c"},
        "spec": {"request": request, "signerName": "example.com/one", "usages": ["client auth"]},
    });
    let mut made = admin.ok(&format!("POST {path}"), &wanted).await;
    made["status"] = json!({"conditions": [{"type": "Approved", "status": "True", "reason": "Test", "message": ""}]});
    let approve = format!("PUT {path}/c/approval");
    let refused = r#"403 certificatesigningrequests.certificates.k8s.io "c" is forbidden: user not permitted to approve requests with signerName "example.com/one""#;
    assert_eq!(ask(&mut admin, "eve", &approve, made.clone()).await, refused);
    assert_eq!(ask(&mut admin, "bob", &approve, made).await, "200");
}

#[tokio::test]
async fn a_role_lets_people_act_as_others() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let mut acts = rule(&["impersonate"], "", &["users"]);
    acts["resourceNames"] = json!(["bob"]);
    admin
        .ok(
            &format!("POST {RBAC}/clusterroles"),
            &role("ClusterRole", "acts", &[acts]),
        )
        .await;
    let bound = binding("ClusterRoleBinding", "acts", "ClusterRole/acts", "Group/actors");
    admin.ok(&format!("POST {RBAC}/clusterrolebindings"), &bound).await;
    let user = server.pki.issue_client("eve", &["actors"], &*server.api.clock).unwrap();
    let mut eve = server.client(Some(user)).await;
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let line = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";
    let (code, found) = answer(&mut eve, "bob", line, review.clone()).await;
    assert_eq!((code, &found["status"]["userInfo"]["username"]), (201, &json!("bob")));
    let refused = r#"403 users "admin" is forbidden: User "eve" cannot impersonate resource "users" in API group "" at the cluster scope"#;
    assert_eq!(ask(&mut eve, "admin", line, review.clone()).await, refused);
    let refused = r#"403 groups "system:masters" is forbidden: User "eve" cannot impersonate resource "groups" in API group "" at the cluster scope"#;
    assert_eq!(ask(&mut eve, "bob,system:masters", line, review).await, refused);
}

//! Who somebody is: tokens and certificates that kubectl gets for others, and what they are good for.

use e2e::wait::until;

use super::Client;

/// The token of a service account is asked for and used.
pub(super) fn tokens(client: &Client<'_>) {
    client.run(&["create", "serviceaccount", "robot"]).ok();
    client
        .run(&[
            "create",
            "rolebinding",
            "robot",
            "--clusterrole=view",
            &format!("--serviceaccount={}:robot", client.namespace),
        ])
        .ok();
    let token = client
        .run(&[
            "create",
            "token",
            "robot",
            "--duration=20m",
            "--audience=https://kubernetes.default.svc.cluster.local",
        ])
        .ok();
    let token = format!("--token={}", token.trim());
    let with_token = |args: &[&str]| client.as_somebody(&[&token, "-n", &client.namespace], args);
    with_token(&["get", "configmaps"]).ok();
    let told = with_token(&["get", "secrets"]).failed();
    let who = format!(
        r#"User "system:serviceaccount:{}:robot" cannot list resource "secrets""#,
        client.namespace
    );
    assert!(told.contains(&who), "{told}");
    let told = client
        .as_somebody(&["--token=rubbish"], &["get", "namespaces"])
        .failed();
    assert!(told.contains("You must be logged in to the server"), "{told}");
    let short = client.run(&["create", "token", "robot", "--duration=1m"]).failed();
    assert!(
        short.contains("may not specify a duration less than 10 minutes"),
        "{short}"
    );

    let whoami = with_token(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]);
    if client.minor == "27" {
        // That release asks for versions that no server has by default any more: Kubernetes 1.36 makes it say the same.
        assert!(
            whoami
                .failed()
                .contains("the selfsubjectreviews API is not enabled in the cluster")
        );
    } else {
        assert_eq!(whoami.ok(), format!("system:serviceaccount:{}:robot", client.namespace));
        client.tells(
            &["auth", "whoami"],
            &["kubernetes-admin", "[system:masters system:authenticated]"],
        );
    }
    let list = with_token(&["auth", "can-i", "--list"]).ok();
    assert!(list.contains("configmaps") && !list.contains("*.*"), "{list}");
    let told = with_token(&["auth", "can-i", "create", "configmaps"]);
    assert_eq!((told.code, told.stdout.trim()), (1, "no"), "{}", told.stderr);
    // An account that is gone takes its tokens with it.
    client.run(&["delete", "serviceaccount", "robot"]).ok();
    with_token(&["get", "configmaps"]).failed();
}

/// A key and a request of openssl go through approval; the certificate that comes is used.
pub(super) fn certificates(client: &Client<'_>) {
    let key = client.file("jane.key", "");
    let openssl = |args: &[&str]| {
        let output = std::process::Command::new("openssl").args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let subject = "/O=dev/O=ops/CN=jane";
    let algorithm = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let request = openssl(
        &[
            &["req", "-new", "-nodes", "-subj", subject, "-keyout", &key][..],
            &algorithm,
        ]
        .concat(),
    );
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, request);
    let name = format!("jane-{}", client.minor);
    let name = name.as_str();
    let object = |name: &str| {
        format!(
            "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {{name: {name}}}\n\
             spec: {{request: {encoded}, signerName: kubernetes.io/kube-apiserver-client, expirationSeconds: 3600, usages: [client auth]}}\n"
        )
    };
    client.kubectl.run_with(&["create", "-f", "-"], &object(name)).ok();
    client.tells(
        &["get", "csr", name],
        &[
            "kubernetes.io/kube-apiserver-client",
            "kubernetes-admin",
            "60m",
            "Pending",
        ],
    );
    let told = client.run(&["certificate", "approve", name]).ok();
    assert!(
        told.contains(&format!(
            "certificatesigningrequest.certificates.k8s.io/{name} approved"
        )),
        "{told}"
    );
    let certificate = until("a certificate", || {
        let request = client.object(&["csr", name]);
        match request["status"]["certificate"].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(request.to_string()),
        }
    });
    client.tells(&["get", "csr", name], &["Approved,Issued"]);
    client.tells(&["describe", "csr", name], &["Common Name:", "jane", "dev", "ops"]);
    let pem = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, certificate).unwrap();
    let file = client.file("jane.crt", &String::from_utf8(pem).unwrap());
    let credentials = [format!("--client-certificate={file}"), format!("--client-key={key}")];
    let credentials = [
        credentials[0].as_str(),
        credentials[1].as_str(),
        "-n",
        &client.namespace,
    ];
    let told = client.as_somebody(&credentials, &["get", "configmaps"]).failed();
    assert!(
        told.contains(r#"User "jane" cannot list resource "configmaps""#),
        "{told}"
    );
    client
        .run(&["create", "rolebinding", "ops", "--clusterrole=view", "--group=ops"])
        .ok();
    client.as_somebody(&credentials, &["get", "configmaps"]).ok();

    let other = format!("john-{}", client.minor);
    client.kubectl.run_with(&["create", "-f", "-"], &object(&other)).ok();
    client.run(&["certificate", "deny", &other]).ok();
    client.tells(&["get", "csr", &other], &["Denied"]);
    client.run(&["delete", "csr", name, &other]).ok();
}

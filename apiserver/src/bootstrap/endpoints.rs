//! What stands behind the `kubernetes` Service: this server itself, where others can reach it.
//!
//! A server that only its own machine can reach has no address that may stand in an `EndpointSlice`; its objects are there
//! and empty.

use std::net::IpAddr;

use http::Uri;
use serde_json::{Value, json};

use super::{done, request};
use crate::api::{Api, OpenError};
use crate::request::Verb;
use crate::verbs::call::Payload;

/// Owner of these objects' fields, under the name that a stock server has.
const MANAGER: &str = "kube-apiserver";

/// Writes where the server is. It is put right at every start.
pub(super) async fn announce(api: &Api) -> Result<(), OpenError> {
    let (address, port) = place(&api.config.url);
    apply(api, ("", "v1", "endpoints"), endpoints(address, port)).await?;
    let slice = slice(address, port);
    apply(api, ("discovery.k8s.io", "v1", "endpointslices"), slice).await
}

async fn apply(api: &Api, resource: (&str, &str, &str), object: Value) -> Result<(), OpenError> {
    let mut request = request(resource, "default", "kubernetes", Verb::Patch);
    "application/apply-patch+yaml".clone_into(&mut request.content_type);
    request.query.field_manager = Some(MANAGER.to_owned());
    request.query.force = Some(true);
    let what = format!("{} kubernetes", resource.2);
    done(&what, api.run(&request, Payload::Value(object)).await.map(drop))
}

/// The address in a URL, if others can use it, and the port.
fn place(url: &str) -> (Option<IpAddr>, u16) {
    let Ok(url) = url.parse::<Uri>() else {
        return (None, 443);
    };
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let address: Option<IpAddr> = host.parse().ok();
    let usable = address.filter(|address| !address.is_loopback() && !address.is_unspecified());
    (usable, url.port_u16().unwrap_or(443))
}

fn ports(port: u16) -> Value {
    json!([{"name": "https", "port": port, "protocol": "TCP"}])
}

fn endpoints(address: Option<IpAddr>, port: u16) -> Value {
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
    });
    if let Some(address) = address {
        object["subsets"] = json!([{"addresses": [{"ip": address.to_string()}], "ports": ports(port)}]);
    }
    object
}

fn slice(address: Option<IpAddr>, port: u16) -> Value {
    let family = if address.is_some_and(|address| address.is_ipv6()) {
        "IPv6"
    } else {
        "IPv4"
    };
    let endpoints: Vec<Value> = address
        .iter()
        .map(|address| json!({"addresses": [address.to_string()], "conditions": {"ready": true}}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": family,
        "endpoints": endpoints,
        "ports": ports(port),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_others_can_use_count() {
        let check = |url: &str, expected: (Option<&str>, u16)| {
            let (address, port) = place(url);
            assert_eq!((address.map(|own| own.to_string()).as_deref(), port), expected, "{url}");
        };
        check("https://10.1.2.3:6443", (Some("10.1.2.3"), 6443));
        check("https://10.1.2.3", (Some("10.1.2.3"), 443));
        check("https://[2001:db8::1]:6443", (Some("2001:db8::1"), 6443));
        check("https://127.0.0.1:6443", (None, 6443));
        check("https://0.0.0.0:1", (None, 1));
        check("https://hub.example.com:6443", (None, 6443));
        check("", (None, 443));
    }

    #[tokio::test]
    async fn the_kubernetes_service_has_its_endpoints() {
        use crate::api::Profile;
        use crate::verbs::tests::Server;

        let server = Server::start(Profile::Kubernetes).await;
        let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
        let found = server.ok(&format!("GET {slices}/kubernetes"), ()).await;
        assert_eq!(found["endpoints"], json!([]));
        for (url, address) in [
            ("https://10.1.2.3:6443", "10.1.2.3"),
            ("https://10.1.2.4:6443", "10.1.2.4"),
        ] {
            let (host, port) = place(url);
            apply(&server.api, ("", "v1", "endpoints"), endpoints(host, port))
                .await
                .unwrap();
            apply(
                &server.api,
                ("discovery.k8s.io", "v1", "endpointslices"),
                slice(host, port),
            )
            .await
            .unwrap();
            let old = server
                .ok("GET /api/v1/namespaces/default/endpoints/kubernetes", ())
                .await;
            assert_eq!(old["subsets"][0]["addresses"], json!([{"ip": address}]));
            let new = server.ok(&format!("GET {slices}/kubernetes"), ()).await;
            assert_eq!(
                (&new["endpoints"][0]["addresses"], &new["ports"][0]["port"]),
                (&json!([address]), &json!(6443))
            );
        }
        let warned = server
            .send("GET /api/v1/namespaces/default/endpoints/kubernetes", ())
            .await
            .unwrap();
        assert_eq!(
            warned.warnings,
            ["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"]
        );
    }
}

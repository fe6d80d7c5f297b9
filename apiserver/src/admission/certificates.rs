//! Who may approve and sign certificate requests: the verbs `approve` and `sign` on `signers`, by the name of the signer or by
//! its domain. And what no client may ask for.

use schema::status::Status;
use serde_json::Value;

use crate::auth::authorize::Attributes;
use crate::pki::MASTERS;
use crate::strategy;
use crate::verbs::call::Call;
use crate::verbs::object::meta_text;

const GROUP: &str = "certificates.k8s.io";
/// The signer of certificates that this server takes for authentication.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

fn is_request(call: &Call<'_>) -> bool {
    strategy::is(&call.def, GROUP, "certificatesigningrequests")
}

/// Nobody becomes an administrator by a request.
pub(super) fn create(call: &Call<'_>, object: &Value) -> Result<(), Status> {
    if !is_request(call) || object["spec"]["signerName"] != CLIENT_SIGNER {
        return Ok(());
    }
    // What cannot be read is refused by validation.
    let Ok(request) = strategy::certificates::request(object) else {
        return Ok(());
    };
    if request.organizations.iter().any(|group| group == MASTERS) {
        let detail = format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed");
        return Err(call.forbidden(meta_text(object, "name"), &detail));
    }
    Ok(())
}

/// Approving needs `approve`; giving a certificate, or the reason why there is none, needs `sign`.
pub(super) fn update(call: &Call<'_>, subresource: &str, old: &Value, object: &Value) -> Result<(), Status> {
    if !is_request(call) {
        return Ok(());
    }
    let verb = match subresource {
        "approval" => "approve",
        "status" if signs(old, object) => "sign",
        _ => return Ok(()),
    };
    let signer = old["spec"]["signerName"].as_str().unwrap_or_default();
    let domain = signer.split('/').next().unwrap_or_default();
    let may = [signer.to_owned(), format!("{domain}/*")].into_iter().any(|name| {
        let attributes = Attributes {
            verb: verb.to_owned(),
            group: GROUP.to_owned(),
            version: "*".to_owned(),
            resource: "signers".to_owned(),
            name,
            ..Attributes::default()
        };
        call.api.authorizers.authorize(&call.request.user, &attributes)
    });
    if may {
        return Ok(());
    }
    let detail = format!("user not permitted to {verb} requests with signerName {signer:?}");
    Err(call.forbidden(meta_text(old, "name"), &detail))
}

/// Whether a change of the status is a signer's.
fn signs(old: &Value, object: &Value) -> bool {
    let failed = |object: &Value| {
        let list = object["status"]["conditions"].as_array();
        list.and_then(|list| list.iter().find(|condition| condition["type"] == "Failed").cloned())
    };
    old["status"]["certificate"] != object["status"]["certificate"] || failed(old) != failed(object)
}

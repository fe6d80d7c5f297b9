//! Who approves or signs a certificate request needs leave for its signer, not just for the request.

use schema::status::Status;
use serde_json::Value;

use crate::auth::authorize::Attributes;
use crate::strategy;
use crate::verbs::call::Call;
use crate::verbs::object::meta_text;

const GROUP: &str = "certificates.k8s.io";

/// Admits an approval, a denial or a signature.
pub(super) fn update(call: &Call<'_>, subresource: &str, old: &Value, object: &Value) -> Result<(), Status> {
    if !matches!(subresource, "approval" | "status") || !strategy::is(&call.def, GROUP, "certificatesigningrequests") {
        return Ok(());
    }
    let changed = |field: &str| old["status"][field] != object["status"][field];
    let verb = match subresource {
        "approval" => "approve",
        _ if changed("certificate") || changed("conditions") => "sign",
        _ => return Ok(()),
    };
    // What the request was stored with counts: the update may say something else.
    let signer = old["spec"]["signerName"].as_str().unwrap_or_default();
    let domain = signer.split('/').next().unwrap_or_default();
    let any_of_domain = format!("{domain}/*");
    let leave = [signer, &any_of_domain].into_iter().any(|name| {
        let asked = Attributes {
            verb: verb.to_owned(),
            group: GROUP.to_owned(),
            version: "*".to_owned(),
            resource: "signers".to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        };
        call.api.authorizers.authorize(&call.request.user, &asked)
    });
    if leave {
        return Ok(());
    }
    let detail = format!("user not permitted to {verb} requests with signerName {signer:?}");
    Err(call.forbidden(meta_text(old, "name"), &detail))
}

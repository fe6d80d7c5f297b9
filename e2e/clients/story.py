"""What programs with the Python client do: typed and dynamic clients, watches, every kind of patch, pages. Prints `done` at the end."""

import threading

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.exceptions import ApiException

config.load_kube_config()
core, apps = client.CoreV1Api(), client.AppsV1Api()
NAMESPACE = "python"
core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE)))

# A watch sees what happens, in order, from a list's revision on.
start = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
seen = []


def follow():
    stream = watch.Watch()
    for event in stream.stream(core.list_namespaced_config_map, NAMESPACE, resource_version=start, timeout_seconds=60):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            stream.stop()


follower = threading.Thread(target=follow)
follower.start()
for number in range(5):
    core.create_namespaced_config_map(NAMESPACE, client.V1ConfigMap(metadata=client.V1ObjectMeta(name=f"map-{number}"), data={"a": "b"}))
core.patch_namespaced_config_map("map-1", NAMESPACE, {"data": {"a": "c"}})
core.delete_namespaced_config_map("map-2", NAMESPACE)
follower.join(60)
assert seen == [("ADDED", f"map-{n}") for n in range(5)] + [("MODIFIED", "map-1"), ("DELETED", "map-2")], seen

# Pages.
page = core.list_namespaced_config_map(NAMESPACE, limit=3)
assert page.metadata.remaining_item_count == 1, page.metadata
rest = core.list_namespaced_config_map(NAMESPACE, limit=3, _continue=page.metadata._continue)
assert [item.metadata.name for item in page.items + rest.items] == ["map-0", "map-1", "map-3", "map-4"]

# Errors carry a Status.
try:
    core.read_namespaced_config_map("absent", NAMESPACE)
    raise AssertionError("an absent object was read")
except ApiException as error:
    assert error.status == 404 and '"reason":"NotFound"' in error.body, error

# A workload, created from a manifest, scaled and replaced.
manifest = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]}},
    },
}
utils.create_from_dict(client.ApiClient(), manifest, namespace=NAMESPACE)
apps.patch_namespaced_deployment_scale("web", NAMESPACE, {"spec": {"replicas": 3}})
assert apps.read_namespaced_deployment_scale("web", NAMESPACE).spec.replicas == 3
web = apps.read_namespaced_deployment("web", NAMESPACE)
web.spec.template.spec.containers[0].image = "nginx:1.28"
apps.replace_namespaced_deployment("web", NAMESPACE, web)
try:
    apps.replace_namespaced_deployment("web", NAMESPACE, web)
    raise AssertionError("a stale object was accepted")
except ApiException as error:
    assert error.status == 409, error

# The dynamic client: discovery, server-side apply, custom resources.
hub = dynamic.DynamicClient(client.ApiClient())
policies = hub.resources.get(api_version="policy.karmada.io/v1alpha1", kind="PropagationPolicy")
policy = {
    "apiVersion": "policy.karmada.io/v1alpha1",
    "kind": "PropagationPolicy",
    "metadata": {"name": "web", "namespace": NAMESPACE},
    "spec": {
        "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}],
        "placement": {"clusterAffinity": {"clusterNames": ["eu", "us"]}},
    },
}
applied = policies.server_side_apply(body=policy, namespace=NAMESPACE, field_manager="python")
assert applied.metadata.managedFields[0].operation == "Apply", applied
stream = watch.Watch()
for event in stream.stream(apps.list_namespaced_deployment, NAMESPACE, field_selector="metadata.name=web", timeout_seconds=90):
    # Duplicated: three in each of two members.
    if event["object"].status.ready_replicas == 6:
        stream.stop()
assert apps.read_namespaced_deployment("web", NAMESPACE).status.ready_replicas == 6
apps.delete_collection_namespaced_deployment(NAMESPACE)
core.delete_namespace(NAMESPACE)
print("done")

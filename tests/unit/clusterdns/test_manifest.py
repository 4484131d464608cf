from __future__ import annotations

from ipaddress import ip_address

from namewall.cli.cluster_dns import cluster_dns_command
from namewall.clusterdns.manifest import MOUNT, objects
from namewall.clusterdns.records import CONFIG_MAP

IPS = (ip_address("10.220.0.10"), ip_address("fd4e:5741:2::a"))


def test_deployment_and_service_fit_each_other() -> None:
    deployment, service = objects(["/opt/namewall"], IPS)
    template = deployment["spec"]["template"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert template["spec"]["runtimeClassName"] == "namewall"
    assert template["spec"]["volumes"][0]["configMap"]["name"] == CONFIG_MAP
    assert template["spec"]["containers"][0]["volumeMounts"][0]["mountPath"] == MOUNT
    assert service["spec"]["clusterIPs"] == ["10.220.0.10", "fd4e:5741:2::a"]
    assert [(port["name"], port["port"], port["protocol"]) for port in service["spec"]["ports"]] == [
        ("dns", 53, "UDP"),
        ("dns-tcp", 53, "TCP"),
    ]


def test_the_command_line_is_one_that_the_program_takes() -> None:
    for port, listen in ((53, ("53", "5353")), (5353, ("5353",)), (1053, ("1053", "5353"))):
        deployment, service = objects(["namewall"], IPS[:1], dns_port=port, replicas=2)
        command = deployment["spec"]["template"]["spec"]["containers"][0]["command"]
        assert command[:2] == ["namewall", "cluster-dns"]
        parsed = cluster_dns_command.make_context("cluster-dns", command[2:]).params
        assert parsed["listen"] == listen
        assert parsed["records"] == MOUNT
        assert {each["targetPort"] for each in service["spec"]["ports"]} == {port}
        assert service["spec"]["ipFamilyPolicy"] == "SingleStack"
        assert deployment["spec"]["replicas"] == 2

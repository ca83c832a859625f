from importlib.metadata import PackageNotFoundError

from broker.vhosts import properties
from broker.vhosts.properties import server_properties


def test_clients_see_the_server_that_we_are_compatible_with():
    told = server_properties("orders")
    assert (told["product"], told["version"], told["cluster_name"]) == ("RabbitMQ", "3.10.8", "orders")
    assert told["platform"].startswith("Warren ")
    assert told["capabilities"]["publisher_confirms"]
    assert told["capabilities"]["consumer_cancel_notify"]


def test_each_client_gets_a_copy_of_its_own():
    server_properties("a")["capabilities"].clear()
    assert server_properties("a")["capabilities"]


def test_without_an_installed_package_it_says_so(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(properties, "version", missing)
    assert server_properties("a")["platform"].startswith("Warren from source / Python 3.")

"""`settings:` of cluster.yaml that need more than a range: sizes with units."""

from pathlib import Path

import pytest

from broker.node.configuration import ConfigurationError, Settings, load


def settings_of(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "cluster.yaml"
    path.write_text(f"settings: {{{text}}}", encoding="utf-8")
    return load(path).nodes[0].settings


def test_how_fast_mirrors_are_filled(tmp_path):
    settings = settings_of(tmp_path, "mirroring_sync_batch_size: 100, mirroring_sync_max_throughput: 10MB")
    assert (settings.mirroring_sync_batch_size, settings.mirroring_sync_max_throughput) == (100, 10_000_000)
    assert (Settings().mirroring_sync_batch_size, Settings().mirroring_sync_max_throughput) == (4096, 0)


def test_a_setting_may_have_a_point_in_its_name(tmp_path):
    assert settings_of(tmp_path, "prometheus.return_per_object_metrics: true").prometheus_return_per_object_metrics
    assert not Settings().prometheus_return_per_object_metrics


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("mirroring_sync_max_throughput: -1", "-1: must be a number of bytes a second, as 10MB, or 0 for no limit"),
        ("mirroring_sync_max_throughput: fast", "'fast': use a whole number of bytes"),
        ("mirroring_sync_batch_size: 0", "0: must be at least 1"),
        ("prometheus.return_per_object_metrics: 7", "prometheus.return_per_object_metrics"),
    ],
)
def test_what_is_misspelled(tmp_path, setting, why):
    with pytest.raises(ConfigurationError) as refused:
        settings_of(tmp_path, setting)
    (line,) = refused.value.problems
    assert why in line

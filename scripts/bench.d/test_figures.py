"""The report of scripts/bench, without a measurement: what others read of it is as it was promised to them."""

import json
import tempfile
import unittest
from pathlib import Path

import figures
import page

LOWER_IS_BETTER = {"acceptLatencyP99": 15, "confirmLatencyP99": 100, "cpuPerOrder": 20, "memory": 80}
HIGHER_IS_BETTER = {
    "accepted": 0.40,
    "soldOut": 0.85,
    "soldOutKeyed": 0.55,
    "drain": 0.40,
    "growth": 0.9,
    "scaleOut": 0.95,
}
# The figures of several parts.
PARTS = {"growth": (":held", ":sales"), "scaleOut": (":apis", ":consumers")}


def measured(share):
    """A report in which every figure reaches its target `share` times over."""
    report = figures.Report("quick")
    for name, target in LOWER_IS_BETTER.items():
        report.add(name, target / share, "ms", None, target / share, [{"p99Ms": target / share}])
    for name, target in HIGHER_IS_BETTER.items():
        for part in PARTS.get(name, ("",)):
            runs = [{"value": 1000 * target * share * turn, "floor": 1000} for turn in (1, 0.1, 10)]
            report.add_ratio(name, runs, "floor", part)
    return report


class ADrain(unittest.TestCase):
    def test_is_measured_while_all_consumers_write_and_as_a_whole(self):
        # The first begins alone at 1 s; all have written something at 3 s; the second has nothing left at 5 s.
        samples = [(0, [0, 0]), (1, [10, 0]), (2, [10, 0]), (3, [20, 10]), (4, [40, 30]), (5, [60, 50]), (7, [70, 50])]
        self.assertEqual(figures.rates_of_drain(samples), (40, (120 - 10) / 6))

    def test_where_one_came_too_late_is_measured_as_a_whole(self):
        self.assertEqual(figures.rates_of_drain([(0, [0, 0]), (1, [10, 0]), (2, [110, 0])]), (100, 100))

    def test_of_one_consumer_is_the_same_both_ways(self):
        self.assertEqual(figures.rates_of_drain([(0, [0]), (1, [10]), (2, [110])]), (100, 100))


class TheReport(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        figures.OUT = page.OUT = self.folder = Path(folder.name)
        figures.say = lambda text: None

    def written(self, report):
        """What is in the file, figures by their names."""
        report.write()
        whole = json.loads((self.folder / "report.json").read_text())
        return whole, {result["name"]: result for result in whole["results"]}

    def test_it_has_every_name_in_the_promised_shape(self):
        whole, results = self.written(measured(1))
        self.assertIn("cores", whole["machine"])
        targets = {**LOWER_IS_BETTER, **HIGHER_IS_BETTER}
        for name, target in targets.items():
            self.assertEqual(results[name]["target"], target, name)
        for result in whole["results"]:
            missing = {"name", "value", "unit", "ratio", "target", "met", "runs"} - result.keys()
            self.assertFalse(missing, result)
            self.assertGreater(len(result["runs"]), 0, result)
            self.assertIn(result["name"].split(":")[0], targets)

    def test_a_target_is_met_if_it_is_just_reached_and_not_below(self):
        _, reached = self.written(measured(1))
        self.assertEqual({result["met"] for result in reached.values()}, {True})
        _, missed = self.written(measured(0.99))
        self.assertEqual({result["met"] for result in missed.values()}, {False})

    def test_a_ratio_is_the_median_of_the_ratios_of_its_runs(self):
        report = figures.Report("quick")
        # The median of the values is 30, and that of the floors 70: what counts is each run by itself.
        runs = [{"value": 30, "floor": 100}, {"value": 10, "floor": 20}, {"value": 49, "floor": 70}]
        report.add_ratio("accepted", runs, "floor")
        _, results = self.written(report)
        self.assertEqual((results["accepted"]["value"], results["accepted"]["ratio"]), (30, 0.5))

    def test_of_several_parts_the_worst_decides(self):
        report = figures.Report("quick")
        report.add_ratio("growth", [{"value": 99, "base": 100}], "base", ":held")
        report.add_ratio("growth", [{"value": 80, "base": 100}], "base", ":sales")
        for _ in range(2):
            # Also where it stands in the file already.
            whole, results = self.written(report)
            self.assertEqual([result["name"] for result in whole["results"]].count("growth"), 1)
            self.assertEqual((results["growth"]["ratio"], results["growth"]["met"]), (0.8, False))

    def test_figures_that_are_not_measured_again_are_kept(self):
        self.written(measured(1))
        again = figures.Report("full")
        again.add("memory", 100, "MB", None, 100, [{}])
        _, results = self.written(again)
        self.assertEqual((results["memory"]["value"], results["memory"]["met"]), (100, False))
        self.assertTrue(results["accepted"]["met"])

    def test_a_broken_promise_is_in_the_report(self):
        report = measured(1)
        report.check("P1", "nothing is oversold", True)
        self.assertTrue(report.holds)
        report.check("P2", "nothing is lost", False)
        self.assertFalse(report.holds)
        whole, _ = self.written(report)
        self.assertEqual([check["ok"] for check in whole["checks"]], [True, False])

    def test_the_page_shows_every_figure_and_loads_nothing(self):
        report = measured(0.5)
        report.check("P1", "<script>", True)
        page.write(report.write())
        shown = (self.folder / "index.html").read_text()
        for name in [*LOWER_IS_BETTER, *HIGHER_IS_BETTER]:
            self.assertIn(f"<td>{name}", shown)
        for loading in ("src=", "href=", "<script", "@import", "url("):
            self.assertNotIn(loading, shown)


unittest.main()

"""Measure fastnn beside its peers, and write tables and pictures: ``python -m benchmarks.peers
--help``.
"""

import pathlib

from benchmarks.peers.measure import ALL, SECTIONS, Measurement
from benchmarks.readme import found_in, parser, put
from fastnn import plotting

IMAGES = pathlib.Path("docs", "images")
RESULTS = pathlib.Path("benchmarks", "results", "peers.json")
# Sections that say themselves where they were measured
ELSEWHERE = {"many", "threads", "crossover", "validated", "published"}


def write(results: dict, folder: pathlib.Path) -> list[pathlib.Path]:
    """Draw the pictures of what was measured, and put its tables between the markers of the pages;
    what was written.
    """
    from benchmarks.peers import charts, tables

    tables.check_peaks(results)
    page = folder / "benchmarks" / "README.md"
    pictures = {}
    written = [
        put(page, f"peers {name}", make(results))
        for name, (of, make) in tables.PAGE.items()
        if results.get(of)
    ]
    if results.get("training"):
        pictures["peers"] = charts.side_by_side(results)
    if results.get("crossover"):
        written.append(
            put(
                folder / "docs" / "explanation" / "when-not.md",
                "crossover",
                tables.crossover(results),
            )
        )
        pictures["crossover"] = charts.crossover(results)
        if any(ALL in lanes for lanes in results["crossover"].values()):
            pictures["crossover_all_cores"] = charts.crossover(results, ALL)
    if results.get("threads"):
        written.append(put(folder / "README.md", "peers", tables.short(results)))
    if results.get("many"):
        pictures["many"] = charts.members_by_time(results["many"])
    written += [
        plotting.save(figure, folder / IMAGES / f"{name}.png") for name, figure in pictures.items()
    ]
    return list(dict.fromkeys(written))


def main(arguments: list[str] | None = None) -> None:
    options = parser("peers", __doc__, RESULTS, SECTIONS).parse_args(arguments)

    def measured() -> dict:
        """What was asked for; where the file says where the other sections were measured, that
        stays.
        """
        results = Measurement().sections(options.only or SECTIONS)
        if options.only and options.json.exists() and ELSEWHERE.issuperset(options.only):
            del results["about"]
        return results

    results = found_in(options, measured)
    if not options.no_write:
        print(*write(results, options.folder), sep="\n")


if __name__ == "__main__":
    main()

"""`dagster dev` with the guarded web server: `python -m dna_pipelines.orchestration.development`, same arguments."""

from dna_pipelines.orchestration.dagster_private import dev_command_with


def main() -> None:
    """Run Dagster's web server, daemon and code server until they are ended."""
    dev_command_with("dna_pipelines.orchestration.web_page")()


if __name__ == "__main__":
    main()

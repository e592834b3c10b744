from certbroker.cli import run

run()

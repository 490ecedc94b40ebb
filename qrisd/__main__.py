from qrisd.cli import main

main()

print("about to fail")
io.stderr:write("expected 4, got 5\n")
os.exit(7)

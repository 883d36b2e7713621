assert(string.rep("ab", 3) == "ababab")
print("all is well")

std = "luajit"
max_line_length = 110
self = false
exclude_files = { "build", "build-*" }
files["tests/lua/"] = { std = "+busted" }
-- A description of functions, not functions: their arguments are there to be read.
files["scripts/types/"] = { ignore = { "212" } }

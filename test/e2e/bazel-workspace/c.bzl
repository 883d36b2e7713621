"""Rules that run gcc, one action for each compile and each link.

Bazel's own cc_* rules download what they need; these need nothing but a gcc on the PATH of the machine that runs them.
"""

def _c_object_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".o")
    ctx.actions.run(
        executable = "gcc",
        arguments = ["-O1", "-Wall", "-DLUA_USE_POSIX", "-c", ctx.file.src.path, "-o", out.path],
        inputs = [ctx.file.src] + ctx.files.hdrs,
        outputs = [out],
        mnemonic = "CCompile",
        use_default_shell_env = True,
    )
    return [DefaultInfo(files = depset([out]))]

c_object = rule(
    implementation = _c_object_impl,
    attrs = {
        "src": attr.label(allow_single_file = [".c"], mandatory = True),
        "hdrs": attr.label_list(allow_files = [".h"]),
    },
)

def _c_binary_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.run(
        executable = "gcc",
        arguments = ["-o", out.path] + [file.path for file in ctx.files.objects] + ["-lm"],
        inputs = ctx.files.objects,
        outputs = [out],
        mnemonic = "CLink",
        use_default_shell_env = True,
    )
    return [DefaultInfo(files = depset([out]), executable = out)]

c_binary = rule(
    implementation = _c_binary_impl,
    attrs = {"objects": attr.label_list(allow_files = [".o"])},
    executable = True,
)

def _run_lua_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    ctx.actions.run_shell(
        command = '"$1" "$2" > "$3"',
        arguments = [ctx.executable.lua.path, ctx.file.script.path, out.path],
        inputs = [ctx.file.script],
        tools = [ctx.executable.lua],
        outputs = [out],
        mnemonic = "RunLua",
        use_default_shell_env = True,
    )
    return [DefaultInfo(files = depset([out]))]

run_lua = rule(
    doc = "Runs a Lua program during the build; what it prints is the output.",
    implementation = _run_lua_impl,
    attrs = {
        # The program must run where it was linked, so both are of the same configuration.
        "lua": attr.label(executable = True, cfg = "target", mandatory = True),
        "script": attr.label(allow_single_file = [".lua"], mandatory = True),
    },
)

def _lua_test_impl(ctx):
    launcher = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(
        launcher,
        "#!/bin/sh\nexec '{}' '{}'\n".format(ctx.executable.lua.short_path, ctx.file.script.short_path),
        is_executable = True,
    )
    return [DefaultInfo(
        executable = launcher,
        runfiles = ctx.runfiles(files = [ctx.executable.lua, ctx.file.script]),
    )]

lua_test = rule(
    doc = "`bazel test`: passes if the Lua program exits with 0.",
    implementation = _lua_test_impl,
    attrs = {
        "lua": attr.label(executable = True, cfg = "target", mandatory = True),
        "script": attr.label(allow_single_file = [".lua"], mandatory = True),
    },
    test = True,
)

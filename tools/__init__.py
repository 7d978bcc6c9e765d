"""What environments and agents act with: queries, sandboxes, functions."""

if __name__ == "tools":
    raise ImportError("import agentrl.tools, not tools: this folder is the package agentrl.tools")

"""Side by side: `python -m app.comparison` compares the speed and the behaviour of servers.

    options ─► __main__ ─► measure ─► results ─► report_terminal, report_json, report_html
                              │
        competitor (one server: started, loaded, started again) · servers (command lines)
        workloads, documents (what is asked for) · sampling (is it right, byte by byte)
        bench (who asks): load, wrk, crowd · processes (trees, CPU time, memory) · guard
        behaviour + expectations/ (what the RFCs require of an answer)

    publish: runs/published.json ─► report_html ─► the page of the run in the guide

Nothing of the rest of the project is imported: each server is a command line, and what is known of
it is what it sends and what the kernel says of its processes. So the bundled server is measured
exactly as nginx is.
"""

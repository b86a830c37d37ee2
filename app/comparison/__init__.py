"""Side by side: `python -m app.comparison` runs servers as processes and compares their speed and
their behaviour.

    options ─► __main__ ─► measure ─► results ─► report_terminal, report_json, report_html
                              │
        servers (how each is started) · processes (trees, CPU time, memory) · guard (ends them when nobody else can)
        documents (the files served) · workloads (what is asked for) · load, wrk, crowd (who asks)
        behaviour + expectations/ (what the RFCs require of an answer)

    publish: runs/published.json ─► report_html ─► the page of the run in the guide

Nothing of the rest of the project is imported: each server is a command line, and what is known of
it is what it sends and what the kernel says of its processes. So the bundled server is measured
exactly as nginx is.
"""

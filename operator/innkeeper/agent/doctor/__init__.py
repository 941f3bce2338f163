"""`innkeeper doctor`: looks at a machine as an agent would find it, and says what to do.

It changes nothing: what it asks for is read, tried in a process of its own, or never stored. `checks/` has a file for
each subject, `registry` lists them in the order in which they are told, `look` asks the API server once for all of them.
"""

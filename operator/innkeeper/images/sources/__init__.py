"""Where image bytes come from: one file for each kind of source, all behind one small protocol.

Sources do not know each other, and nothing outside `opening` knows which kinds there are.
"""

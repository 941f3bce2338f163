"""Which host: a decision on a frozen view of all hosts, with a reason for each host that is not it.

`facts` is what is known of hosts and asked for, `rules` holds one rule a file, `cycle` runs them in order and chooses.
Nothing here knows how the facts were gathered.
"""

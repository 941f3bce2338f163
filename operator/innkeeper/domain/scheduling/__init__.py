"""Which host: a decision on all hosts as they are known now, with a reason for each host that is not it.

`request` is what a guest asks for, `fleet` what is known of all hosts (arrays, one row a host), `rules` holds one rule a
file. `cycle` runs the rules in order and chooses, `shortlist` shares that work among equal requests, `explain` shows all
verdicts. Nothing here knows how the facts were gathered.
"""

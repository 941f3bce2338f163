"""A host that refused this guest a while ago is left out for a while."""

from innkeeper.domain.scheduling.rules.rule import Rule

RULE = Rule("refused", lambda request, host: host.name not in request.avoid, "refused it lately")

"""`kubectl guest` as an archive for each platform, and krew's manifest of them: `hack/plugin` drives it."""

"""The rare kinds (Cluster, IPPool, Image, Flavor): what the handlers do. It never imports kopf."""

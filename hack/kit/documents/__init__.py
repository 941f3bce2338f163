"""Documents as programs see them: their commands, links and headings, and the site that is made of them."""

"""SIP, without sockets and without a clock. Lowest first:

`grammar`, `hosts`, `parameters`, `uri`    the words
`headers`, `fields` and their values       a header map, and what its fields mean
`message`, `parser`, `acceptance`          whole messages: built, read, and judged
`auth`, `digest`                           who is asking
"""

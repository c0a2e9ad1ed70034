"""A market under the axe: ``make soak`` (``python -m tests.soak``).

Two web processes and a worker on one PostgreSQL, a provider with moods, tenants with keys and small
wallets who call, leave, buy and pay, all over HTTP, while somebody kills processes with signal 9.
Every answer that a client got is written to a file outside the database. At the end the books must
close to the token, and agree with that file.
"""

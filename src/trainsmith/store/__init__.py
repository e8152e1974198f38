"""The store: a study as a folder whose finished parts survive whatever happens to the process."""

from trainsmith.store.begun import placed, where_it_began
from trainsmith.store.inputs import UnreadableWeights, data_of, digest
from trainsmith.store.jobs import job_of, network_name, recipe_of
from trainsmith.store.opening import SIGNATURE, named_as_begun, of_other_versions, opened, studies, unfinished
from trainsmith.store.schema import DATABASE
from trainsmith.store.sources import CODE, code_digest, known_again, recorded, source_digest
from trainsmith.store.store import Keeper, Store, hold

__all__ = [
    "CODE",
    "DATABASE",
    "SIGNATURE",
    "Keeper",
    "Store",
    "UnreadableWeights",
    "code_digest",
    "data_of",
    "digest",
    "hold",
    "job_of",
    "known_again",
    "named_as_begun",
    "network_name",
    "of_other_versions",
    "opened",
    "placed",
    "recipe_of",
    "recorded",
    "source_digest",
    "studies",
    "unfinished",
    "where_it_began",
]

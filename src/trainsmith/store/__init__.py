"""The store: a study as a folder whose finished parts survive whatever happens to the process."""

from trainsmith.store.begun import placed, where_it_began
from trainsmith.store.inputs import UnreadableWeights, data_of, digest
from trainsmith.store.jobs import job_of, network_name, recipe_of
from trainsmith.store.opening import SIGNATURE, named_as_begun, of_other_versions, opened, studies, unfinished
from trainsmith.store.schema import DATABASE
from trainsmith.store.sources import code_digest, source_digest
from trainsmith.store.store import Keeper, Store, hold

__all__ = [
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
    "named_as_begun",
    "network_name",
    "of_other_versions",
    "opened",
    "placed",
    "recipe_of",
    "source_digest",
    "studies",
    "unfinished",
    "where_it_began",
]

# The pure files of engines/, and what px-store keeps.
foreach(module flight gate heart launch match records roster sched)
    px_unit_test(test_${module} SOURCES test_${module}.c LINK px_unit px_engines)
endforeach()
px_unit_test(test_store SOURCES test_store.c LINK px_unit px_store)

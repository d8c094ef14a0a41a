# The pure files of engines/.
foreach(module flight gate heart launch roster sched)
    px_unit_test(test_${module} SOURCES test_${module}.c LINK px_unit px_engines)
endforeach()

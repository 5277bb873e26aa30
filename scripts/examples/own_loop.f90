! The same in Fortran as own_loop.c: training on the program's data in a loop of its own, with a
! folder after the learning rate was found, and what the network then says of one of its points.  Compile lockstep.f90, which is installed beside the
! headers, and this file with mpif90 and what `pkg-config --libs lockstep` says.
! Usage: mpirun -n RANKS own_loop [FOLDER]
module training
    use lockstep
    implicit none
    integer, parameter :: points = 210, epochs = 3
    real(c_float), target :: coordinates(2, points)
    integer(c_int32_t), target :: classes(points)
    character(len=7, kind=c_char), target :: name = 'points'//c_null_char
    real(c_double) :: lr = 0.05d0
contains
    ! On rank 0, once the loss of the whole batch is known: the learning rate of this step.
    function decide(context, report) result(decision) bind(c)
        type(c_ptr), value :: context
        type(ls_step_report), intent(in) :: report
        type(ls_decision) :: decision
        decision = ls_decision(lr=lr, momentum=0.9d0)
    end function

    function source()
        type(ls_data_source) :: source
        integer :: i
        do i = 0, points - 1
            classes(i + 1) = mod(i, 3)
            coordinates(:, i + 1) = real([mod(i*37, 101) + 60*mod(i, 3), mod(i*53, 89)], c_float)
        end do
        source%name = c_loc(name)
        source%count = points
        source%shape%ndims = 1
        source%shape%size(1) = 2
        source%type = ls_type_f32
        source%targets = 1
        source%target_type = ls_type_i32
        source%inputs_array = c_loc(coordinates)
        source%targets_array = c_loc(classes)
    end function
end module

program own_loop
    use mpi
    use training
    implicit none
    character(len=*), parameter :: line = c_new_line, yaml = 'data: {file: none}'//line// &
        'batch: {size: 40, slices: 8}'//line//'model:'//line// &
        '  layers: [dense: {units: 16}, relu, dense: {units: 3}]'//line//c_null_char
    type(c_ptr) :: comm, config, engine
    type(ls_decision) :: decision
    type(ls_step_report) :: report
    character(kind=c_char) :: digest(ls_digest_text)
    real(c_float) :: probabilities(3)
    integer(c_int64_t) :: turn, per_epoch
    character(len=1024, kind=c_char), target :: folder
    integer :: error

    call MPI_Init(error)
    call check(ls_comm_create_fortran(MPI_COMM_WORLD, comm))
    call check(ls_config_create(yaml, config))
    call check(ls_config_set(config, 'seed'//c_null_char, '7'//c_null_char))
    call check(ls_engine_create_from(comm, config, source(), c_null_ptr, c_null_ptr, engine))
    if (command_argument_count() > 0) call find_lr()
    per_epoch = ls_engine_steps_per_epoch(engine)
    do turn = 0, epochs*per_epoch - 1
        ! ... the program's own work ...
        call check(ls_engine_step(engine, turn/per_epoch, mod(turn, per_epoch), c_funloc(decide), &
                                  c_null_ptr, decision, report))
    end do
    call check(ls_engine_predict_batch(engine, 1_c_int64_t, ls_type_f32, c_loc(coordinates), &
                                       probabilities))
    call check(ls_engine_digest(engine, digest))
    if (ls_comm_rank(comm) == 0) then
        print '(a, f6.4)', 'learning rate ', lr
        print '(a, 32a1)', 'digest ', digest(1:32)
        print '(a, f5.3)', 'first point: class 0 with probability ', probabilities(1)
    end if
    call ls_engine_free(engine)
    call ls_config_free(config)
    call ls_comm_free(comm)
    call MPI_Finalize(error)
contains
    ! By a range test, which leaves the engine as it was.  lr stays where the curve supports none.
    subroutine find_lr()
        type(ls_find_lr_job) :: job
        type(ls_find_lr_result) :: found
        call get_command_argument(1, folder)
        folder = trim(folder)//c_null_char
        job%folder = c_loc(folder)
        call check(ls_find_lr(engine, job, found))
        associate (recommended => found%suggestions(ls_suggest_recommended))
            if (recommended%found) lr = recommended%value
            if (.not. recommended%found) print '(a)', 'no learning rate is recommended'
        end associate
    end subroutine
    subroutine check(status)
        integer(c_int), intent(in) :: status
        if (status == ls_ok) return
        print '(a)', 'own_loop: '//ls_text()
        call MPI_Abort(MPI_COMM_WORLD, ls_exit_code(status), error)
    end subroutine
end program
